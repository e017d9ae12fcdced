"""Gateway events, reduced to the fields that the payment rules trust."""

from __future__ import annotations

from msgspec import Struct

from payment_service.gateways.dispute import Dispute
from payment_service.gateways.refund import Refund
from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.key_store.contract import Order


class PaymentEvent(Struct, frozen=True):
    """One event: the PaymentIntent to retrieve, and the order that it may belong to.

    `type` is the gateway's own event type, for the history. `is_creation`: the event only reports
    that the PaymentIntent was created, which its creator already knows. `gateway`: the one that
    sent it; the event is evidence about no other (rule 13). `is_approval`: the shopper has approved
    a payment at a gated gateway, perhaps once more after a decline. `is_refund`: money of a payment
    at a gated gateway went back; `intent_id` is empty if the event names only the order.
    """

    id: str
    type: str
    livemode: bool
    intent_id: str
    order: Order
    is_creation: bool = False
    gateway: str = DEFAULT_GATEWAY
    is_approval: bool = False
    is_refund: bool = False


class RefundEvent(Struct, frozen=True):
    """A refund was made or changed, by this service or in the provider's dashboard.

    `order`: the order that the metadata names. None if it names none, as for a dashboard's refund:
    only the PaymentIntent names the order then. `refund`: its state at the time of the event,
    which may be past; None if the event shows only the payment.
    """

    id: str
    type: str
    livemode: bool
    intent_id: str
    order: Order | None
    refund: Refund | None


class DisputeEvent(Struct, frozen=True):
    """A dispute was opened or changed; only the PaymentIntent names the order.

    `dispute`: its state at the time of the event, which may be past.
    """

    id: str
    type: str
    livemode: bool
    intent_id: str
    dispute: Dispute


MoneyEvent = RefundEvent | DisputeEvent
