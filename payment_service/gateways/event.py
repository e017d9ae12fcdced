"""A gateway event, reduced to the fields that the payment rules trust."""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.key_store.contract import Order


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """One event: the PaymentIntent to retrieve, and the order that it may belong to.

    `type` is the gateway's own event type, for the history. `is_creation`: the event only reports
    that the PaymentIntent was created, which its creator already knows.
    """

    id: str
    type: str
    livemode: bool
    intent_id: str
    order: Order
    is_creation: bool = False
