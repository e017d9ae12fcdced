"""The outcome of a capture at a gated gateway, after every send that the retry loop allowed.

| outcome        | money            | the claim in the record | what follows                       |
|----------------|------------------|-------------------------|------------------------------------|
| Captured       | moved, or moving | resolved                | record the status                  |
| PayerNeeded    | not moved        | taken back              | send the shopper to the link again |
| CaptureOver    | see there        | resolved                | canceled: begin another attempt    |
| PaymentGone    | see there        | see there               | canceled, or ask again later       |
| AccountRefused | not moved        | taken back; see there   | an operator must act               |
| PaidBefore     | moved before     | kept                    | alarm; nothing more is sent        |
| CaptureUnclear | unknown          | kept                    | read, then send the same id again  |
"""

from __future__ import annotations

from msgspec import Struct

from payment_service.errors import Misconfigured, PaymentError, Refused
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import PaidBefore


class Captured(Struct, frozen=True):
    """The payment is `succeeded`, or `processing` while the provider or a bank still works on it.

    `replayed`: not this send moved the money, but an earlier one.
    """

    intent: Intent
    replayed: bool


class PayerNeeded(Struct, frozen=True):
    """The shopper must act on the provider's page again, for the same payment.

    `declined`: the shopper had approved it, and the card or account was declined. The next capture
    needs the next capture number. `redirect_url`: that page, if the rejection names it.
    """

    error: Refused
    declined: bool
    redirect_url: str | None = None


class CaptureOver(Struct, frozen=True):
    """This send took nothing, and no later one will.

    `intent`: the payment as it was read: voided, or declined at its one capture. Then no earlier
    send can take anything either. None: the provider refused this send for good, which tells
    nothing about an earlier one whose answer was lost.
    """

    error: Refused
    intent: Intent | None = None


class PaymentGone(Struct, frozen=True):
    """The provider knows no such payment.

    It is over only if no earlier send of a capture may still arrive; otherwise unknown.
    """

    error: Refused


class AccountRefused(Struct, frozen=True):
    """The provider refuses our account or its permissions, so this call moved nothing.

    It tells nothing about an earlier call for the same claim: keep the claim if one is unresolved.
    """

    error: Misconfigured


class CaptureUnclear(Struct, frozen=True):
    """An unknown outcome: never give it up, ask again.

    `nothing_sent`: no send of this call left, because there was no access token. `alarm`: the
    reason why an operator should look, if the provider named one.
    """

    error: PaymentError
    nothing_sent: bool = False
    alarm: str | None = None


FailedCapture = (
    PayerNeeded | CaptureOver | PaymentGone | AccountRefused | PaidBefore | CaptureUnclear
)
CaptureOutcome = Captured | FailedCapture
