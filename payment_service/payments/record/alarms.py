"""Alarms: the reasons for which a person must look at an order, found in its record.

    two_paid         two PaymentIntents of the order are paid: refund one
    stray_paid       a PaymentIntent was paid that the record did not name
    refunded_twice   the gateway shows two refunds of one refund_id
    event_parked     the shop did not accept an order event for three days
    disputed         a dispute is open
    refund_unknown   the outcome of a refund is still unknown after UNKNOWN_SECONDS
    capture_unknown  the same of a capture, or of a capture at a gated gateway
    paid_before      the gateway has a payment of the order that the record does not have

An order whose creation is unknown has no alarm: a list selects it by its status.
"""

from __future__ import annotations

from collections.abc import Iterator

from payment_service.payments.record.history import STRAY_ADOPTED, TWO_PAID
from payment_service.payments.record.money import CaptureEntry, RefundEntry
from payment_service.payments.record.order_record import OrderRecord

STRAY_PAID, REFUNDED_TWICE, PARKED = "stray_paid", "refunded_twice", "event_parked"
DISPUTED, REFUND_UNKNOWN, CAPTURE_UNKNOWN = "disputed", "refund_unknown", "capture_unknown"
PAID_BEFORE = "paid_before"

NAMES = (
    TWO_PAID,
    STRAY_PAID,
    REFUNDED_TWICE,
    PARKED,
    DISPUTED,
    REFUND_UNKNOWN,
    CAPTURE_UNKNOWN,
    PAID_BEFORE,
)

# The same request, sent again, settles most of them within minutes.
UNKNOWN_SECONDS = 900.0

_OF_HISTORY = {TWO_PAID: TWO_PAID, STRAY_ADOPTED: STRAY_PAID}


def alarms_of(record: OrderRecord, now: float) -> tuple[str, ...]:
    """Return the names of the alarms at `now` (Unix seconds), in the order of NAMES."""
    found = {name for name, since in _reasons(record) if since <= now}
    return tuple(name for name in NAMES if name in found)


def alarm_at(record: OrderRecord) -> float | None:
    """Return from when on the record has an alarm, in Unix seconds; None if it has no reason."""
    return min((since for _, since in _reasons(record)), default=None)


def _reasons(record: OrderRecord) -> Iterator[tuple[str, float]]:
    kept = record.follow_up
    for entry in kept.history:
        if entry["what"] in _OF_HISTORY:
            yield _OF_HISTORY[entry["what"]], entry["at"]
    yield from ((PARKED, event.at) for event in kept.queue if event.parked)
    if kept.paid_before:
        noted = [entry["at"] for entry in kept.history if entry["what"] == "paid before"]
        yield PAID_BEFORE, max(noted, default=record.updated_at)
    if kept.gated_capture and kept.gated_capture.claimed_at is not None:
        yield CAPTURE_UNKNOWN, kept.gated_capture.claimed_at + UNKNOWN_SECONDS
    yield from ((DISPUTED, float(each.created)) for each in kept.disputes if each.is_open)
    yield from ((REFUNDED_TWICE, each.at) for each in kept.refunds if each.is_double)
    money: list[tuple[str, RefundEntry | CaptureEntry]] = []
    money += [(REFUND_UNKNOWN, each) for each in kept.refunds]
    money += [(CAPTURE_UNKNOWN, kept.capture)] if kept.capture else []
    for name, each in money:
        if each.state == "pending":
            yield name, each.at + UNKNOWN_SECONDS
