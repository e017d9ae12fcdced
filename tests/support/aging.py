"""Age an order in its store, for real processes whose clock cannot be moved."""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.key_store import open_key_store
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.record.money import CaptureEntry, RefundEntry


def order_of(order_id: str) -> Order:
    """Return the identity of an order in test mode."""
    return Order(livemode=False, client_id=None, order_id=order_id)


def record_of(url: str, order_id: str) -> KeyRecord | None:
    """Return the store's record of the order."""
    store = open_key_store(url)
    try:
        return store.read(order_of(order_id))
    finally:
        store.close()


def age(url: str, order_id: str, seconds: float) -> None:
    """Move every instant of the order's record into the past."""
    store = open_key_store(url)
    try:
        record = store.read(order_of(order_id))
        assert record
        kept = FollowUp.parse(record.follow_up)
        aged = replace(
            kept,
            refunds=tuple(_aged_refund(each, seconds) for each in kept.refunds),
            capture=kept.capture and _aged_capture(kept.capture, seconds),
        )
        older = replace(
            record,
            follow_up=aged.text() if kept.refunds or kept.capture else record.follow_up,
            version=record.version + 1,
            first_sent_at=record.first_sent_at - seconds,
            locked_until=record.locked_until - seconds,
            updated_at=record.updated_at - seconds,
        )
        assert store.replace(record, older)
    finally:
        store.close()


def _aged_refund(entry: RefundEntry, seconds: float) -> RefundEntry:
    if entry.state != "pending":
        return entry
    return replace(
        entry,
        until=entry.until - seconds,
        first_sent_at=entry.first_sent_at - seconds,
        sent_until=entry.sent_until - seconds,
    )


def _aged_capture(entry: CaptureEntry, seconds: float) -> CaptureEntry:
    return replace(entry, until=entry.until - seconds, first_sent_at=entry.first_sent_at - seconds)
