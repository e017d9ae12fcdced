"""The alarms of a record, from when on, and how long its history keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.key_store.contract import Order
from payment_service.payments.record.alarms import NAMES, UNKNOWN_SECONDS, alarm_at, alarms_of
from payment_service.payments.record.follow_up import OrderEvent
from payment_service.payments.record.gateways import GatedCapture
from payment_service.payments.record.history import MAX_ENTRIES, noted
from payment_service.payments.record.money import CaptureEntry, DisputeEntry, RefundEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import to_stored
from tests.support.flow_bench import NOW, order_record

AT = NOW - 50

REASONS: dict[str, tuple[dict[str, Any], float]] = {
    "two_paid": ({"history": ({"at": AT, "what": "two_paid"},)}, AT),
    "stray_paid": ({"history": ({"at": AT, "what": "adopted, paid"},)}, AT),
    "refunded_twice": ({"refunds": (RefundEntry(None, 1, AT, "made", is_double=True),)}, AT),
    "event_parked": ({"queue": (OrderEvent("e", "order.paid", AT, {}, parked=True),)}, AT),
    "disputed": ({"disputes": (DisputeEntry("dp", 1, "needs_response", "fraud", int(AT)),)}, AT),
    "refund_unknown": ({"refunds": (RefundEntry("R-1", 1, AT),)}, AT + UNKNOWN_SECONDS),
    "capture_unknown": ({"capture": CaptureEntry("pi_1", 1, AT)}, AT + UNKNOWN_SECONDS),
    "paid_before": ({"paid_before": True, "history": ({"at": AT, "what": "paid before"},)}, AT),
}

QUIET: list[dict[str, Any]] = [
    {},
    {"history": ({"at": AT, "what": "adopted"},)},
    {"history": ({"at": AT, "what": "paid before"},)},
    {"queue": (OrderEvent("e", "order.paid", AT, {}),)},
    {"disputes": (DisputeEntry("dp", 1, "lost", "fraud", int(AT), is_open=False),)},
    {"refunds": (RefundEntry("R-1", 1, AT, "made"), RefundEntry("R-2", 1, AT, "rejected"))},
    {"capture": CaptureEntry("pi_1", 1, AT, "made")},
    {"gated_capture": GatedCapture(number=2)},
]


def record(follow_up: dict[str, Any]) -> OrderRecord:
    return order_record(Order(False, None, "A-1"), **follow_up)


def test_every_alarm_has_a_reason_here() -> None:
    assert tuple(REASONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_alarm_begins_at_its_time(name: str) -> None:
    follow_up, since = REASONS[name]
    assert alarms_of(record(follow_up), since) == (name,)
    assert alarms_of(record(follow_up), since - 1) == ()
    assert to_stored(record(follow_up)).alarm_at == since


def test_claimed_capture_at_a_gated_gateway_is_an_alarm_as_one_at_stripe() -> None:
    claimed = record({"gated_capture": GatedCapture(claimed_at=AT)})
    assert alarm_at(claimed) == AT + UNKNOWN_SECONDS
    assert alarms_of(claimed, AT + UNKNOWN_SECONDS) == ("capture_unknown",)
    assert alarm_at(record({"gated_capture": GatedCapture()})) is None


@pytest.mark.parametrize("follow_up", QUIET)
def test_an_order_without_trouble_has_no_alarm(follow_up: dict[str, Any]) -> None:
    assert alarms_of(record(follow_up), NOW + 1e9) == ()
    assert to_stored(record(follow_up)).alarm_at is None


def test_claimed_capture_at_a_gated_gateway_is_an_alarm_later() -> None:
    claimed = record({"gated_capture": GatedCapture(claimed_at=AT)})
    assert alarm_at(claimed) == AT + UNKNOWN_SECONDS
    assert alarms_of(claimed, AT + UNKNOWN_SECONDS) == ("capture_unknown",)


def test_the_earliest_reason_counts() -> None:
    both = record({**REASONS["refund_unknown"][0], **REASONS["two_paid"][0]})
    assert alarm_at(both) == AT
    assert alarms_of(both, AT) == ("two_paid",)
    assert alarms_of(both, AT + UNKNOWN_SECONDS) == ("two_paid", "refund_unknown")


def test_a_full_history_keeps_its_alarm() -> None:
    history = noted(noted((), NOW, "claimed"), NOW, "two_paid")
    for number in range(3 * MAX_ENTRIES):
        history = noted(history, NOW, f"seen {number}")
    assert len(history) == MAX_ENTRIES
    assert [each["what"] for each in history[:3]] == ["claimed", "two_paid", "seen 42"]


def test_a_history_of_alarms_only_stays_bounded() -> None:
    history = noted((), NOW, "claimed")
    for number in range(3 * MAX_ENTRIES):
        history = noted(history, NOW, "two_paid", number=number)
    assert len(history) == MAX_ENTRIES
    assert history[-1]["number"] == 3 * MAX_ENTRIES - 1
