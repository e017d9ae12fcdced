"""The public view of an order's record: everything but secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from payment_service.gateways.intent import REQUIRES_CAPTURE, SUCCEEDED
from payment_service.payments.record import transitions
from payment_service.payments.record.money import DisputeEntry, RefundEntry
from payment_service.payments.record.order_record import OrderRecord


class OrderStatus(Struct, frozen=True):
    """`status` is Stripe's, or in_flight, unknown or rejected where there is no PaymentIntent yet.

    Instants in Unix seconds. `waiting` counts the events on their way to the shop. `disputed`:
    whether a dispute is open or lost. `capture_before`: when the authorization lapses. A refund
    without a refund_id was made elsewhere. `gateway`: where the payment is; `leftovers` counts the
    attempts at other gateways that the service still has to look for. Both are None where only one
    gateway is configured.
    """

    order_id: str
    client_id: str | None
    status: str
    paid: bool
    payment_intent_id: str | None
    amount: int | None
    currency: str | None
    amount_received: int
    amount_refunded: int
    refunds: tuple[Mapping[str, Any], ...]
    disputed: bool
    disputes: tuple[Mapping[str, Any], ...]
    capture_before: int | None
    attempt: int
    revision: int
    created_at: float
    updated_at: float
    waiting: int
    history: tuple[Mapping[str, Any], ...]
    gateway: str | None = None
    leftovers: int | None = None

    def shown(self) -> dict[str, Any]:
        """Return the fields, without those of several gateways where there is only one."""
        fields = asdict(self)
        return {
            name: value
            for name, value in fields.items()
            if name not in ("gateway", "leftovers") or value is not None
        }


def status_of(record: OrderRecord, now: float, *, several_gateways: bool = False) -> OrderStatus:
    """Build the status of an order from its record; with `several_gateways`, name its own."""
    kept, history, amount = record.follow_up, record.follow_up.history, record.amount
    status = _status(record, now)
    received = kept.received if kept.received is not None else amount
    return OrderStatus(
        order_id=record.order.order_id,
        client_id=record.order.client_id,
        status=status,
        paid=status == SUCCEEDED,
        payment_intent_id=record.payment_intent_id,
        amount=amount,
        currency=record.currency,
        amount_received=(received or 0) if status == SUCCEEDED else 0,
        amount_refunded=kept.refunded,
        refunds=tuple(_refund(each, now) for each in kept.refunds),
        disputed=any(each.is_open or each.status == "lost" for each in kept.disputes),
        disputes=tuple(_dispute(each) for each in kept.disputes),
        capture_before=kept.capture_before if status == REQUIRES_CAPTURE else None,
        attempt=record.attempt,
        revision=kept.revision,
        created_at=history[0]["at"] if history else record.first_sent_at,
        updated_at=round(record.updated_at, 3),
        waiting=len(kept.queue),
        history=history,
        gateway=record.sent.gateway if several_gateways else None,
        leftovers=len(kept.leftovers) if several_gateways else None,
    )


def _status(record: OrderRecord, now: float) -> str:
    if record.state == "created":
        return record.payment_status or "unknown"
    if record.state == "rejected":
        return "rejected"
    return "in_flight" if transitions.is_held(record, now) else "unknown"


def _refund(entry: RefundEntry, now: float) -> Mapping[str, Any]:
    """Return a refund; `status` is the gateway's, or in_flight, unknown or rejected."""
    if entry.state == "pending":
        status = "in_flight" if transitions.entry_is_held(entry, now) else "unknown"
    else:
        status = entry.status or entry.state
    return {
        "refund_id": entry.refund_id,
        "stripe_refund_id": entry.id,
        "amount": entry.amount,
        "status": status,
        "created_at": entry.at,
        "updated_at": entry.updated_at,
    }


def _dispute(entry: DisputeEntry) -> Mapping[str, Any]:
    return {
        "dispute_id": entry.id,
        "amount": entry.amount,
        "status": entry.status,
        "reason": entry.reason,
        "inquiry": entry.is_inquiry,
        "created_at": entry.created,
        "respond_by": entry.respond_by,
    }
