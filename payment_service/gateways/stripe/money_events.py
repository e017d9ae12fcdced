"""Stripe's Events about refunds and disputes, converted to neutral ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payment_service.gateways.event import DisputeEvent, MoneyEvent, RefundEvent
from payment_service.gateways.event_json import object_in
from payment_service.gateways.order_metadata import order_named_in
from payment_service.gateways.stripe.events import event_id_of, subject_of
from payment_service.gateways.stripe.money import (
    UnreadableMoney,
    read_charge,
    read_dispute,
    read_refund,
)

OF_REFUNDS = frozenset(
    {
        "refund.created",
        "refund.updated",
        "refund.failed",
        # An endpoint whose version is older than 2024-10-28 gets only this for a card's refund.
        "charge.refund.updated",
    }
)
OF_CHARGES = frozenset({"charge.refunded"})
OF_DISPUTES = frozenset(
    f"charge.dispute.{each}"
    for each in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
)


def money_event(event: Mapping[str, Any]) -> MoneyEvent | None:
    """Read an Event object; None unless it is about a refund or a dispute of a PaymentIntent."""
    try:
        return _read(event)
    except UnreadableMoney:
        # For example a payment without a PaymentIntent, which this service did not create.
        return None


def _read(event: Mapping[str, Any]) -> MoneyEvent | None:
    event_id, kind, subject = event_id_of(event), event.get("type"), subject_of(event)
    if event_id is None or not isinstance(kind, str):
        return None
    livemode = event.get("livemode") is True
    order = order_named_in(object_in(subject, "metadata"), livemode=livemode)
    if kind in OF_REFUNDS:
        refund = read_refund(subject)
        return RefundEvent(event_id, kind, livemode, refund.intent_id, order, refund)
    if kind in OF_CHARGES:
        charge = read_charge(subject)
        return RefundEvent(event_id, kind, livemode, charge.intent_id, order, None)
    if kind in OF_DISPUTES:
        dispute = read_dispute(subject)
        return DisputeEvent(event_id, kind, livemode, dispute.intent_id, dispute)
    return None
