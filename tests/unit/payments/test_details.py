"""The open items of an order, the actions that an operator may take, and totals of a period."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.gateways.stripe.facts import STRIPE
from payment_service.key_store.contract import Order
from payment_service.payments.changes.details import OrderDetails, details_of
from payment_service.payments.changes.listing import OrderFilter
from payment_service.payments.recovery.overview import overdue, totals_of
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench
from tests.support.flow_bench import NOW, order_record


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


def details(bench: AfterBench) -> OrderDetails:
    return details_of(bench.record(), bench.now, STRIPE)


def lose_answers(bench: AfterBench, path: str, kind: str = "lost_after") -> None:
    bench.sandbox.faults.order(FaultOrder(kind, Match(method="POST", path=path), count=None))


def tried(work: Any) -> None:
    with pytest.raises(PaymentError):
        work()


def test_nothing_is_open_of_an_order_without_trouble(bench: AfterBench) -> None:
    bench.paid()
    bench.deliver_all()
    shown = details(bench)
    assert (shown.open, shown.events, shown.held_until) == ((), (), None)


def test_a_refund_without_an_answer_is_open_and_keeps_its_amount(bench: AfterBench) -> None:
    bench.paid()
    bench.deliver_all()
    lose_answers(bench, "/v1/refunds")
    tried(lambda: bench.refund("R-1", 500))
    shown = details(bench)
    assert (shown.open, shown.left) == (("refund_unknown",), 599)


def test_a_refund_that_failed_frees_its_amount(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    bench.pay_with(intent_id, "pm_card_refundFail")
    bench.apply_all()
    bench.refund("R-1", 500)
    bench.now += 7200
    bench.sandbox.settle()
    for event in bench.money_events():
        bench.apply_money(event)
    bench.deliver_all()
    shown = details(bench)
    assert (shown.open, shown.left) == (("refund_failed",), 1099)


def test_a_capture_without_an_answer_is_open(bench: AfterBench) -> None:
    bench.authorized()
    bench.deliver_all()
    lose_answers(bench, "/v1/payment_intents/", "lost_before")
    tried(lambda: bench.capture(700))
    shown = details(bench)
    assert shown.open == ("capture_unknown",)
    assert shown.capture
    assert (shown.capture["amount"], shown.capture["status"]) == (700, "unknown")


def test_an_authorization_that_ends_within_a_day_is_open(bench: AfterBench) -> None:
    bench.authorized()
    bench.deliver_all()
    ends = bench.record().follow_up.capture_before
    assert "authorization_lapses" not in details(bench).open
    bench.now = ends - 3600
    assert details(bench).open == ("authorization_lapses",)


def test_an_event_that_the_shop_does_not_accept_is_open(bench: AfterBench) -> None:
    bench.paid()
    bench.shop.down = True
    bench.deliver()
    assert details(bench).open == ()
    bench.now += 1000
    shown = details(bench)
    assert shown.open == ("event_waits",)
    assert (shown.events[0]["type"], shown.events[0]["tries"]) == ("order.paid", 1)


def test_an_abandoned_attempt_is_looked_for(bench: AfterBench) -> None:
    bench.break_creation("error_500_without_object")
    bench.ask()
    shown = details(bench)
    assert shown.open == ("look_up_waits",)
    assert shown.look_ups[0] > bench.now


def test_a_request_at_work_leaves_nothing_to_do(bench: AfterBench) -> None:
    record = bench.records.claim(order_record(bench.wanted().order))
    shown = details_of(record, NOW, STRIPE)
    assert (shown.actions, shown.held_until) == ((), record.locked_until)


def test_a_key_that_only_repeats_an_error_is_not_sent_again(bench: AfterBench) -> None:
    record = order_record(bench.wanted().order)
    assert details_of(record, NOW, STRIPE).key_is_safe_until == NOW + 23 * 3600
    repeats = replace(record, saved_5xx=True)
    assert details_of(repeats, NOW, STRIPE).key_is_safe_until is None


def test_a_gateway_that_is_not_configured_offers_nothing(bench: AfterBench) -> None:
    bench.paid()
    assert details_of(bench.record(), bench.now, None).actions == ()


# Many orders.


def test_only_overdue_work_of_the_wanted_orders_is_listed(bench: AfterBench) -> None:
    bench.paid()
    assert overdue(bench.context, lambda _: True, 10) == []
    bench.now += 3600
    [found] = overdue(bench.context, lambda _: True, 10)
    assert (found.record.order.order_id, found.open) == ("A-1", ("event_waits",))
    assert overdue(bench.context, lambda order: order.livemode, 10) == []


def test_totals_are_those_of_one_client(bench: AfterBench) -> None:
    for client_id in ("shop-a", "shop-a", "shop-b", None):
        number = len(list(bench.store.scan()))
        bench.records.claim(order_record(Order(False, client_id, f"B-{number}")))
    totals = totals_of(
        bench.context, OrderFilter(False, client_id="shop-a", since=NOW), NOW + 1, seconds=60
    )
    assert (totals.orders, totals.statuses, totals.received) == (2, {"in_flight": 2}, {})
    none = totals_of(bench.context, OrderFilter(False, since=NOW + 1), NOW + 2, seconds=60)
    assert (none.orders, none.complete) == (0, True)


def test_totals_that_take_too_long_say_so(bench: AfterBench) -> None:
    for number in range(5):
        bench.records.claim(order_record(Order(False, None, f"B-{number}")))
    ticks = iter(range(100))
    totals = totals_of(
        bench.context,
        OrderFilter(False, since=NOW),
        NOW + 1,
        seconds=3,
        monotonic=lambda: next(ticks),
    )
    assert (totals.orders, totals.complete) == (3, False)
