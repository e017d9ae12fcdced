"""The states of a creation, from the claim of the order to its PaymentIntent."""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.errors import PaymentError
from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.payments.record.order_record import OrderRecord


@dataclass(frozen=True, slots=True)
class Claimed:
    """We own the attempt and may send it. `inherited`: another process may have sent it before.

    `sent_until`: when the last of those sends had ended (Unix seconds); None: recently.
    `begun`: this request began the attempt, so no other request has sent its key from this record.
    `leaving`: the attempt is at a gated gateway and shall be left. Its key is sent only to find out
    whether a lost version of the record gave its payment out.
    `leased_at`: before the write that claimed it, in seconds of the deadline's clock.
    """

    record: OrderRecord
    inherited: bool
    leased_at: float
    sent_until: float | None = None
    begun: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """The order's PaymentIntent. `replayed`: it had one before this request."""

    intent: Intent
    replayed: bool
    gateway: str = DEFAULT_GATEWAY


@dataclass(frozen=True, slots=True)
class AttemptOver:
    """The attempt can hold no payable PaymentIntent whose secret was released (rule 3).

    `failed`: the saved 5xx that Stripe returned to this request for the attempt's key, if any.
    """

    record: OrderRecord
    failed: PaymentError | None = None


@dataclass(frozen=True, slots=True)
class GatewayFailed:
    """The gateway left the attempt unknown, and it is ours: release it, or pass the order over.

    `saved_5xx`: a look-up must come before the attempt's key is sent again.
    """

    record: OrderRecord
    error: PaymentError
    saved_5xx: bool = False


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The record may have changed: read it, and continue from there."""


AttemptResult = Created | AttemptOver | GatewayFailed | LookAgain
