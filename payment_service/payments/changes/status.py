"""The public view of an order's record: everything but secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """`status` is Stripe's, or in_flight, unknown or rejected where there is no PaymentIntent yet.

    Instants in Unix seconds. `waiting` counts the events on their way to the shop.
    """

    order_id: str
    client_id: str | None
    status: str
    paid: bool
    payment_intent_id: str | None
    amount: int | None
    currency: str | None
    attempt: int
    revision: int
    created_at: float
    updated_at: float
    waiting: int
    history: tuple[Mapping[str, Any], ...]


def status_of(record: OrderRecord, now: float) -> OrderStatus:
    """Build the status of an order from its record."""
    kept, history, params = record.follow_up, record.follow_up.history, record.sent.params
    status = _status(record, now)
    return OrderStatus(
        order_id=record.order.order_id,
        client_id=record.order.client_id,
        status=status,
        paid=status == "succeeded",
        payment_intent_id=record.payment_intent_id,
        amount=kept.amount if kept.amount is not None else params.get("amount"),
        currency=kept.currency or params.get("currency"),
        attempt=record.attempt,
        revision=kept.revision,
        created_at=history[0]["at"] if history else record.first_sent_at,
        updated_at=round(record.updated_at, 3),
        waiting=len(kept.queue),
        history=history,
    )


def _status(record: OrderRecord, now: float) -> str:
    if record.state == "created":
        return record.payment_status or "unknown"
    if record.state == "rejected":
        return "rejected"
    return "in_flight" if transitions.is_held(record, now) else "unknown"
