"""Cancel a PaymentIntent, and find out whether it is canceled."""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The PaymentIntent after the attempt to cancel it. `ours`: this call canceled it."""

    intent: Intent
    ours: bool


def cancel_and_check(
    gateway: Gateway, intent_id: str, reason: str, deadline: Deadline
) -> Cancellation:
    """Cancel a PaymentIntent; if the gateway did not, fetch it, as it may be canceled or paid.

    Raises NoSuchIntent, or a PaymentError if the gateway gave no usable answer.
    """
    canceled = gateway.cancel(intent_id, reason, deadline)
    if canceled:
        return Cancellation(canceled, ours=True)
    return Cancellation(gateway.retrieve(intent_id, deadline), ours=False)
