"""Refunds and disputes reach the record and the shop once each, from any source, in any order."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import Any

import pytest

from payment_service.cli.order_list import as_json, newest
from payment_service.errors import PaymentError
from payment_service.gateways.stripe.money_events import money_event
from payment_service.payments.changes.listing import OrderFilter
from payment_service.payments.changes.status import OrderStatus, status_of
from payment_service.payments.record.money import MAX_OTHER_REFUNDS
from payment_service.payments.request.existing_order import OrderRequest
from sandbox import dashboard
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench

HOUR = 3600.0


@pytest.fixture
def bench() -> AfterBench:
    bench = AfterBench()
    bench.paid()
    return bench


def status(bench: AfterBench, *, refresh: bool = False) -> OrderStatus:
    return bench.orders.status(OrderRequest(order_id="A-1"), refresh=refresh)


def alarms(bench: AfterBench) -> list[str]:
    found, _ = newest(bench.orders, OrderFilter(livemode=False, alarms=True), 10)
    return [alarm for each in found for alarm in each.alarms]


def apply_all(bench: AfterBench) -> list[str | None]:
    return [bench.apply_money(each) for each in bench.money_events()]


def test_dashboard_refund_appears(bench: AfterBench) -> None:
    made = dashboard.refund_intent(bench.sandbox, bench.payable()[0], 400)
    assert apply_all(bench) == ["applied", "applied"]
    shown = status(bench)
    assert (shown.amount_received, shown.amount_refunded) == (1099, 400)
    [refund] = shown.refunds
    assert (refund["refund_id"], refund["stripe_refund_id"]) == (None, made["id"])
    assert (refund["amount"], refund["status"]) == (400, "succeeded")
    assert bench.deliver_all() == ["order.paid", "order.refunded"]
    facts = bench.shop.bodies[-1]["data"]["object"]
    assert (facts["refund_amount"], facts["amount_refunded"], facts["refund_id"]) == (
        400,
        400,
        None,
    )


def test_own_refund_is_told_once(bench: AfterBench) -> None:
    bench.refund("R-1", 400)
    assert bench.deliver_all() == ["order.paid", "order.refunded"]
    assert set(apply_all(bench)) == {"applied"}
    assert bench.deliver_all() == ["order.paid", "order.refunded"]
    assert bench.shop.bodies[-1]["data"]["object"]["refund_id"] == "R-1"


def test_doubled_event_changes_nothing(bench: AfterBench) -> None:
    dashboard.refund_intent(bench.sandbox, bench.payable()[0], 400)
    apply_all(bench)
    before = bench.record()
    assert apply_all(bench) == ["duplicate", "duplicate"]
    assert bench.record() == before


def test_failed_refund_is_told_and_frees_its_amount() -> None:
    bench = AfterBench()
    bench.pay_with(bench.ask().intent.id, "pm_card_refundFail")
    bench.refund("R-1")
    bench.now += 2 * HOUR
    bench.sandbox.settle()
    apply_all(bench)
    shown = status(bench)
    assert (shown.amount_refunded, shown.refunds[0]["status"]) == (0, "failed")
    told = Counter(bench.deliver_all())
    assert told == {"order.paid": 1, "order.refunded": 1, "order.refund_failed": 1}
    assert bench.whats().count("refund_failed") == 1


def test_pending_refund_is_told_when_it_has_succeeded() -> None:
    bench = AfterBench()
    bench.pay_with(bench.ask().intent.id, "pm_card_pendingRefund")
    assert bench.refund("R-1").status == "pending"
    apply_all(bench)
    assert "order.refunded" not in bench.deliver_all()
    bench.now += 30 * 24 * HOUR
    bench.sandbox.settle()
    apply_all(bench)
    assert bench.deliver_all().count("order.refunded") == 1
    assert status(bench).refunds[0]["status"] == "succeeded"


@pytest.mark.parametrize(("verb", "end"), [("win", "won"), ("lose", "lost")])
def test_dispute_is_shown_and_told(bench: AfterBench, verb: str, end: str) -> None:
    dispute = bench.dispute(bench.payable()[0])
    apply_all(bench)
    shown = status(bench)
    assert shown.disputed
    assert (shown.disputes[0]["dispute_id"], shown.disputes[0]["amount"]) == (dispute["id"], 1099)
    bench.dispute_ends(dispute["id"], verb)
    apply_all(bench)
    shown = status(bench)
    assert (shown.disputed, shown.disputes[0]["status"]) == (end == "lost", end)
    assert bench.deliver_all() == ["order.paid", "order.disputed", "order.dispute_closed"]
    facts = bench.shop.bodies[-1]["data"]["object"]
    assert (facts["dispute_id"], facts["dispute_status"]) == (dispute["id"], end)
    assert bench.whats().count("dispute_opened") == bench.whats().count("dispute_closed") == 1


def test_open_dispute_is_an_alarm_of_the_list(bench: AfterBench) -> None:
    dispute = bench.dispute(bench.payable()[0])
    assert alarms(bench) == []
    apply_all(bench)
    assert alarms(bench) == ["disputed"]
    bench.dispute_ends(dispute["id"], "win")
    apply_all(bench)
    assert alarms(bench) == []


def test_inquiry_that_becomes_a_dispute_is_told_again(bench: AfterBench) -> None:
    dispute = bench.dispute(bench.payable()[0], inquiry=True)
    apply_all(bench)
    bench.dispute_ends(dispute["id"], "escalate")
    apply_all(bench)
    assert bench.deliver_all() == ["order.paid", "order.disputed", "order.disputed"]
    assert [each["data"]["object"]["dispute_is_inquiry"] for each in bench.shop.bodies[1:]] == [
        True,
        False,
    ]


@pytest.mark.parametrize("seed", range(30))
def test_events_in_any_order_and_doubled_give_the_same(seed: int) -> None:
    bench = AfterBench()
    intent_id = bench.ask(amount=5000).intent.id
    bench.pay_with(intent_id, "pm_card_refundFail")
    bench.refund("R-1", 700)
    dashboard.refund_intent(bench.sandbox, intent_id, 300)
    dispute = bench.dispute(intent_id, amount=1000)
    bench.now += 2 * HOUR
    bench.sandbox.settle()
    bench.dispute_ends(dispute["id"], "win")
    events = bench.money_events() * 2
    random.Random(seed).shuffle(events)
    for event in events:
        bench.apply_money(event)
    told = Counter(bench.deliver_all())
    assert told["order.refund_failed"] == 2
    assert (told["order.disputed"], told["order.dispute_closed"]) == (0, 1)
    shown = status(bench)
    assert (shown.amount_refunded, shown.disputed, len(shown.refunds)) == (0, False, 2)
    assert [each["refund_id"] for each in shown.refunds] == ["R-1", None]


def refunded(bench: AfterBench) -> None:
    dashboard.refund_intent(bench.sandbox, bench.payable()[0], 400)


def apply_first(bench: AfterBench) -> None:
    bench.apply_money(bench.money_events()[0])


@pytest.mark.parametrize(
    "step", range(len(AfterBench.steps_of(apply_first, AfterBench.paid, refunded)))
)
def test_crash_at_any_step_of_an_event_loses_nothing(bench: AfterBench, step: int) -> None:
    refunded(bench)
    bench.crash(step, lambda: apply_first(bench))
    apply_first(bench)
    assert bench.deliver_all() == ["order.paid", "order.refunded"]


def test_event_of_a_lost_order_adopts_it(bench: AfterBench) -> None:
    bench.refund("R-1", 400)
    bench.lose()
    apply_all(bench)
    [entry] = bench.record().follow_up.refunds
    assert (entry.refund_id, entry.amount, entry.state) == ("R-1", 400, "made")
    assert bench.refund("R-1", 400).replayed
    assert bench.refunded() == 400


def test_event_settles_an_unknown_refund(bench: AfterBench) -> None:
    refund = Match(method="POST", path="/v1/refunds")
    bench.sandbox.faults.order(FaultOrder("lost_after", refund, count=None))
    with pytest.raises(PaymentError):
        bench.refund("R-1", 400)
    assert status(bench).refunds[0]["status"] == "unknown"
    assert set(apply_all(bench)) == {"applied"}
    assert status(bench).refunds[0]["status"] == "succeeded"
    assert bench.deliver_all().count("order.refunded") == 1


def test_event_of_another_payment_of_the_order_is_not_recorded(bench: AfterBench) -> None:
    stray = bench.stray("A-1")
    bench.act(stray, "confirm")
    dashboard.refund_intent(bench.sandbox, stray)
    assert apply_all(bench) == ["not_recorded", "not_recorded"]
    assert status(bench).amount_refunded == 0


def test_event_of_another_clients_order_is_ignored(bench: AfterBench) -> None:
    dashboard.refund_intent(bench.sandbox, bench.payable()[0], 400)
    event: Any = money_event(bench.money_events()[0])
    assert bench.orders.apply_money(event, lambda _: False) == "not_ours"
    assert status(bench).amount_refunded == 0


def test_refresh_shows_refunds_and_disputes_without_webhooks(bench: AfterBench) -> None:
    dashboard.refund_intent(bench.sandbox, bench.payable()[0], 400)
    bench.dispute(bench.payable()[0], amount=100)
    assert status(bench).amount_refunded == 0
    shown = status(bench, refresh=True)
    assert (shown.amount_refunded, shown.disputed) == (400, True)
    assert bench.deliver_all() == ["order.paid", "order.refunded", "order.disputed"]
    version = bench.record().version
    status(bench, refresh=True)
    assert bench.record().version == version


def test_key_that_may_not_read_refunds_still_shows_the_payment() -> None:
    bench = AfterBench()
    bench.act(bench.ask().intent.id, "confirm")
    bench.sandbox.faults.order(FaultOrder("forbidden", Match(path="/v1/refunds"), count=None))
    assert status(bench, refresh=True).paid
    bench = AfterBench()
    bench.sandbox.faults.order(FaultOrder("forbidden", Match(path="/v1/charges"), count=None))
    bench.authorized()
    shown = status(bench)
    assert (shown.status, shown.capture_before) == ("requires_capture", None)


def test_authorization_shows_its_end_and_is_told_once() -> None:
    bench = AfterBench()
    bench.authorized()
    bench.apply_all()
    shown = status(bench)
    assert shown.status == "requires_capture"
    assert shown.capture_before is not None
    assert shown.capture_before > bench.now
    assert bench.deliver_all() == ["order.authorized"]
    facts = bench.shop.bodies[0]["data"]["object"]
    assert facts["capture_before"] == shown.capture_before
    bench.capture(700)
    shown = status(bench)
    assert (shown.amount_received, shown.capture_before) == (700, None)


def test_lapsed_authorization_is_canceled_by_its_event() -> None:
    bench = AfterBench()
    bench.authorized()
    bench.now += 8 * 24 * HOUR
    bench.sandbox.settle()
    bench.apply_all()
    assert status(bench).status == "canceled"
    assert bench.deliver_all() == ["order.authorized", "order.canceled"]


def test_many_dashboard_refunds_keep_the_record_small() -> None:
    bench = AfterBench()
    intent_id = bench.paid(amount=100_000)
    for _ in range(MAX_OTHER_REFUNDS + 5):
        dashboard.refund_intent(bench.sandbox, intent_id, 100)
    bench.apply_money(bench.money_events()[-1])
    shown = status(bench)
    assert (len(shown.refunds), shown.amount_refunded) == (MAX_OTHER_REFUNDS, 5500)
    assert bench.refund("R-1").amount == 94_500


def test_refund_made_twice_raises_the_alarm(bench: AfterBench) -> None:
    bench.refund("R-1", 400)
    metadata = {"metadata[order_id]": "A-1", "metadata[refund_id]": "R-1"}
    bench.send("/v1/refunds", {"payment_intent": bench.payable()[0], "amount": 400, **metadata})
    apply_all(bench)
    assert "refunded_twice" in bench.whats()
    assert status(bench).amount_refunded == 800
    assert alarms(bench) == ["refunded_twice"]


def test_printed_order_has_its_money_with_iso_times(bench: AfterBench) -> None:
    bench.refund("R-1", 400)
    bench.dispute(bench.payable()[0], amount=100)
    apply_all(bench)
    shown = as_json(status(bench))
    assert (shown["refunds"][0]["refund_id"], shown["amount_refunded"]) == ("R-1", 400)
    times = [shown["refunds"][0]["created_at"], shown["disputes"][0]["respond_by"]]
    assert all(each.startswith("2027-") and each.endswith("Z") for each in times)


def test_status_of_a_plain_order_names_no_money(bench: AfterBench) -> None:
    shown = status_of(bench.record(), bench.now)
    assert (shown.refunds, shown.disputes, shown.disputed) == ((), (), False)
    assert (shown.amount_received, shown.amount_refunded, shown.capture_before) == (1099, 0, None)


def test_refund_before_the_payments_webhook_is_told_after_the_payment() -> None:
    bench = AfterBench()
    bench.act(bench.ask().intent.id, "confirm")
    assert bench.refund("R-1", 400).amount_refunded == 400
    shown = status(bench)
    assert (shown.paid, shown.amount_received, shown.amount_refunded) == (True, 1099, 400)
    assert bench.deliver_all() == ["order.paid", "order.refunded"]


def test_adopted_refund_before_the_payments_webhook_is_told_after_the_payment() -> None:
    bench = AfterBench()
    intent_id = bench.ask().intent.id
    bench.act(intent_id, "confirm")
    named = {"metadata[order_id]": "A-1", "metadata[refund_id]": "R-1"}
    bench.send("/v1/refunds", {"payment_intent": intent_id, "amount": 400, **named})
    assert bench.refund("R-1", 400).replayed
    assert bench.deliver_all() == ["order.paid", "order.refunded"]


def declined_and_paid(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    bench.fail(intent_id)
    bench.apply_all()
    bench.pay(intent_id)


@pytest.mark.parametrize(
    "step", range(len(AfterBench.steps_of(partial(status, refresh=True), declined_and_paid)))
)
def test_refresh_shows_the_payment_although_an_event_is_delivered_meanwhile(step: int) -> None:
    bench = AfterBench()
    declined_and_paid(bench)
    with bench.meanwhile(step, bench.deliver):
        shown = status(bench, refresh=True)
    assert (shown.status, shown.paid) == ("succeeded", True)
    assert bench.deliver_all() == ["order.failed", "order.paid"]


@pytest.mark.parametrize("name", ["", "a" * 300, "a\0b", "\ud800"])
def test_refund_of_a_payment_with_an_impossible_name_is_ignored(name: str) -> None:
    bench = AfterBench()
    intent_id = bench.paid()
    dashboard.refund_intent(bench.sandbox, intent_id, 400)
    [made] = bench.made()
    made["metadata"]["order_id"] = name
    assert set(apply_all(bench)) == {"not_ours"}
    assert bench.reconcile() == {}
