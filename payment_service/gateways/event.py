"""An event of a gateway, as far as the rules believe it."""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.key_store.contract import Order


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """One event: the PaymentIntent to look at, and the order that it may be of.

    `type` is the gateway's own word, for the history. `is_creation`: the event only says that the
    PaymentIntent was made, which its creator knows.
    """

    id: str
    type: str
    livemode: bool
    intent_id: str
    order: Order
    is_creation: bool = False
