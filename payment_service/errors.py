"""Every error of the service, in one tree.

    PaymentError
    ├── BadRequest            the request is invalid; the same bytes will fail again
    ├── Refused               the gateway rejected the request definitively
    │   └── CardRefused       ... about a card
    ├── OrderReused           the order was already used with other parameters
    ├── NotFound              the order is unknown here, or has no PaymentIntent
    ├── Changed               the order changed since the caller read it, or an old update came late
    ├── NoLongerOpen          the order's PaymentIntent is paid, being paid, or canceled
    ├── NotPaid               the order has received no money that could be refunded
    ├── NotAuthorized         the order has no authorization that could be captured
    ├── AlreadyCaptured       another amount of the order was captured
    ├── RefundReused          the refund_id was already used with other parameters
    ├── GatewayNotAccepted    the order's payment is at a gateway that the request does not accept
    ├── AlreadyPaid           the gateway says that the order was paid before, which no record shows
    ├── InFlight              another request is creating the order, and our wait for it timed out
    ├── RateLimited           the gateway's rate limit held for the whole time budget
    ├── Misconfigured         the gateway rejected our credentials or our account
    ├── GatewayFailed         the gateway failed, or is unreadable: the outcome is unknown
    │   └── GatewayUnreachable    ... no answer came
    ├── StoreDown             the key store failed: the next request resolves the order
    ├── Overloaded            too many requests wait for the gateway: nothing was sent
    ├── Unauthorized          the caller is not authenticated
    ├── Forbidden             the caller is authenticated, but not allowed to do this
    └── TooManyRequests       this address or client sent too many requests: nothing was sent

The table in web/errors.py maps each error to an HTTP status.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from payment_service.schema.gateway_names import GATEWAY_TITLES


class PaymentError(Exception):
    """The base of every error; one of this very class is a bug, and the log has its traceback.

    `message` is a sentence for people and contains no secret. `code` is machine-readable. `facts`
    holds further machine-readable details that help a caller to continue.
    """

    code = "internal"
    retry_after_seconds: float | None = None
    facts: Mapping[str, str | int | None] = MappingProxyType({})

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds or self.retry_after_seconds


class BadRequest(PaymentError):
    """The request breaks a rule, which the sentence says, with the field where there is one.

    `param` names that field.
    """

    code = "invalid_parameter"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message, code=code)
        self.param = param


class Refused(PaymentError):
    """The gateway rejected the request definitively; `code` is its own."""

    code = "invalid_request_error"


class CardRefused(Refused):
    """The gateway rejected the card."""

    code = "card_error"


class OrderReused(PaymentError):
    """The order already has a PaymentIntent, or an attempt, with other parameters."""

    code = "order_reused"


class NotFound(PaymentError):
    """No such order, or its creation was rejected."""

    code = "not_found"


class Changed(PaymentError):
    """The order is not what the caller took it for; `revision` and `amount` say what it is now."""

    code = "changed"

    def __init__(self, message: str, **facts: str | int | None) -> None:
        super().__init__(message)
        self.facts = facts


class NoLongerOpen(PaymentError):
    """The PaymentIntent's status does not allow this; the code is `payment_` and the status."""

    def __init__(self, status: str) -> None:
        said = {"canceled": "is canceled", "succeeded": "is paid"}
        super().__init__(
            f"This order's payment {said.get(status, f'has the status {status}')}.",
            code=f"payment_{status}",
        )
        self.facts = {"status": status}


class NotPaid(PaymentError):
    """The order is not paid, so it cannot be refunded; `status` is the PaymentIntent's."""

    code = "not_paid"

    def __init__(self, status: str) -> None:
        super().__init__(f"This order is not paid: its payment has the status {status}.")
        self.facts = {"status": status}


class NotAuthorized(PaymentError):
    """The order has no authorization to capture; `status` is the PaymentIntent's."""

    code = "not_authorized"

    def __init__(self, status: str) -> None:
        super().__init__(f"This order has nothing to capture: its payment has the status {status}.")
        self.facts = {"status": status}


class AlreadyCaptured(PaymentError):
    """The order was captured with another amount, which `amount` names."""

    code = "already_captured"

    def __init__(self, amount: int | None) -> None:
        super().__init__(f"This order was already captured, with the amount {amount}.")
        self.facts = {"amount": amount}


class RefundReused(PaymentError):
    """The refund_id was already used with other parameters."""

    code = "refund_reused"


class GatewayNotAccepted(PaymentError):
    """The order's payment is at another gateway than those that the request accepts."""

    code = "gateway_not_accepted"

    def __init__(self, gateway: str) -> None:
        """`gateway`: where the order's payment is."""
        super().__init__(
            f"This order's payment is at {GATEWAY_TITLES.get(gateway, gateway)}: send "
            f"accept_gateways with {gateway}, or cancel the order first."
        )
        self.facts = {"gateway": gateway}


class AlreadyPaid(PaymentError):
    """The gateway refuses a second payment of this order: an operator must find the first."""

    code = "already_paid"

    def __init__(self, gateway: str) -> None:
        """`gateway`: the gateway that refused."""
        super().__init__(
            f"This order was already paid at {GATEWAY_TITLES.get(gateway, gateway)}, and the "
            "payment is not in this service's record."
        )
        self.facts = {"gateway": gateway}


class InFlight(PaymentError):
    """Another request is creating this order's PaymentIntent right now."""

    code = "in_flight"
    retry_after_seconds = 1.0


class RateLimited(PaymentError):
    """The gateway's rate limit held through every send."""

    code = "stripe_rate_limited"
    retry_after_seconds = 2.0


class Misconfigured(PaymentError):
    """An operator must act: the gateway rejects our key, our permissions or our account."""

    code = "misconfigured"


class GatewayFailed(PaymentError):
    """The outcome is unknown; the next request for this order resolves it."""

    code = "stripe_error"
    retry_after_seconds = 1.0


class GatewayUnreachable(GatewayFailed):
    """No answer came; the outcome is unknown, the next request for this order resolves it."""

    code = "stripe_unreachable"
    retry_after_seconds = 2.0


class StoreDown(PaymentError):
    """The key store failed: nothing was sent, or a result was not recorded.

    The next request for this order resolves it.
    `cause` is the class of the reason, for operators.
    """

    code = "store_unavailable"
    retry_after_seconds = 2.0

    def __init__(self, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.facts = {"cause": cause}


class Overloaded(PaymentError):
    """Every place for a request that waits for a gateway is taken; nothing was sent."""

    code = "overloaded"
    retry_after_seconds = 1.0


class Unauthorized(PaymentError):
    """The caller is not authenticated: no token or key, a forged one, or an expired one."""

    code = "unauthorized"


class Forbidden(PaymentError):
    """The caller is authenticated, but not allowed to do this."""

    code = "forbidden"


class TooManyRequests(PaymentError):
    """This address or client sent too many requests; nothing was sent."""

    code = "too_many_requests"
    retry_after_seconds = 1.0
