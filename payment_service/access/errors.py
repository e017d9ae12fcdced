"""Why a caller is sent away before any rule of payments is looked at."""

from __future__ import annotations

from payment_service.errors import PaymentError


class Unauthorized(PaymentError):
    """Nothing proves who asks: no token or key, a forged one, or an expired one."""

    code = "unauthorized"


class Forbidden(PaymentError):
    """It is known who asks, and this is not theirs to ask for."""

    code = "forbidden"


class TooManyRequests(PaymentError):
    """This address or this client asked too often; nothing was sent to Stripe."""

    code = "too_many_requests"
    retry_after_seconds = 1.0
