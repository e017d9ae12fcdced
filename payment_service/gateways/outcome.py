"""The outcome of a call to a gateway, after every send that the retry loop allowed.

Outcome, RefundOutcome
├── Made        a PaymentIntent
├── Refunded    a refund
├── Declined    a definitive rejection
├── KeyMisused  the key was already used with other parameters
└── Unclear     not definitive: the object may or may not exist (rule 8)

GatedOutcome: an Outcome or PaidBefore. gateways.capture_outcome has the outcomes of a capture at a
gated gateway.
"""

from __future__ import annotations

from msgspec import Struct

from payment_service.errors import PaymentError, Refused
from payment_service.gateways.intent import Intent
from payment_service.gateways.refund import Refund


class Made(Struct, frozen=True):
    """`replayed`: Stripe returned a saved answer, with the PaymentIntent as it was back then."""

    intent: Intent
    replayed: bool


class Refunded(Struct, frozen=True):
    """`replayed`: Stripe returned a saved answer, with the refund as it was back then."""

    refund: Refund
    replayed: bool


class Declined(Struct, frozen=True):
    """A definitive rejection.

    `replayed`: it is the saved answer to an earlier send under the same key.
    `after_unresolved`: Stripe may have executed an earlier send of this same call.
    """

    error: Refused
    replayed: bool
    after_unresolved: bool = False


class KeyMisused(Struct, frozen=True):
    """400 idempotency_error; tells us nothing about the outcome of the key's own request."""

    error: PaymentError


class Unclear(Struct, frozen=True):
    """An unknown outcome.

    `saved_5xx`: Stripe will return this 5xx for the key forever, so a resend is useless.
    `of_this_call`: the saved answer belongs to a send of this same call, as Stripe's request id
    shows. So nothing used the key before.
    `from_before`: Stripe saved that 5xx before the first send of this call.
    `answered_500`: the last answer was a 500. It may be a saved one without the replay header.
    """

    error: PaymentError
    saved_5xx: bool
    of_this_call: bool = False
    answered_500: bool = False
    from_before: bool = False


class PaidBefore(Struct, frozen=True):
    """The gateway refused because it has already taken a payment with this order's name (rule 21).

    So the order is paid and the record has forgotten it: raise an alarm, and send nothing more.
    """

    error: Refused


Failed = Declined | KeyMisused | Unclear
Outcome = Made | Failed
RefundOutcome = Refunded | Failed
GatedOutcome = Outcome | PaidBefore
