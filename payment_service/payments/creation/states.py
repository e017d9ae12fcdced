"""The states of a creation, from the claim of the order to its PaymentIntent."""

from __future__ import annotations

from msgspec import Struct

from payment_service.errors import PaymentError
from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.payments.record.order_record import OrderRecord


class Claimed(Struct, frozen=True):
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


class Created(Struct, frozen=True):
    """The order's PaymentIntent. `replayed`: it had one before this request."""

    intent: Intent
    replayed: bool
    gateway: str = DEFAULT_GATEWAY


class AttemptOver(Struct, frozen=True):
    """The attempt can hold no payable PaymentIntent whose secret was released (rule 3).

    `failed`: the saved 5xx that Stripe returned to this request for the attempt's key, if any.
    """

    record: OrderRecord
    failed: PaymentError | None = None


class AttemptUnknown(Struct, frozen=True):
    """The gateway left the attempt unknown, and it is ours: release it, or pass the order over.

    `saved_5xx`: a look-up must come before the attempt's key is sent again.
    """

    record: OrderRecord
    error: PaymentError
    saved_5xx: bool = False


class LookAgain(Struct, frozen=True):
    """The record may have changed: read it, and continue from there."""


AttemptResult = Created | AttemptOver | AttemptUnknown | LookAgain
