"""Cancel a PaymentIntent, and find out whether it is canceled."""

from __future__ import annotations

from msgspec import Struct

from payment_service.gateways.contract import Gateway, NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.payments.creation.missing_intent import fetch_again, missing


class Cancellation(Struct, frozen=True):
    """The PaymentIntent after the attempt to cancel it. `ours`: this call canceled it."""

    intent: Intent
    ours: bool


def cancel_and_check(
    gateway: Gateway, intent: Intent, reason: str, deadline: Deadline
) -> Cancellation:
    """Cancel a PaymentIntent; if the gateway did not, fetch it, as it may be canceled or paid.

    One that the gateway has deleted counts as canceled. Raises a PaymentError if the gateway gave
    no usable answer.
    """
    try:
        canceled = gateway.cancel(intent.id, reason, deadline)
    except NoSuchIntent:
        return Cancellation(missing(intent), ours=False)
    if canceled:
        return Cancellation(canceled, ours=True)
    return Cancellation(fetch_again(gateway, intent, deadline), ours=False)
