"""An operator's actions: each does what a request does, and the order's history says who did it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import (
    BadRequest,
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    NotFound,
)
from payment_service.key_store.contract import Order
from payment_service.payments.changes.details import open_items
from payment_service.payments.changes.orders import Orders
from payment_service.payments.record import transitions
from payment_service.payments.record.gateways import GatedCapture
from payment_service.payments.record.records import of_stored, to_stored
from payment_service.payments.record.signed import SignedRecords
from payment_service.payments.recovery.by_hand import ByHand
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    OrderRequest,
    RefundRequest,
)
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench
from tests.support.flow_bench import BUDGET_SECONDS, NOW, order_record
from tests.support.switch_bench import TwoGateways

ANNA = "operator:anna"
ORDER = OrderRequest(order_id="A-1")


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


def by_hand(bench: AfterBench) -> ByHand:
    return ByHand(bench.orders, ANNA)


def story(bench: AfterBench) -> list[tuple[str, str | None]]:
    """Each entry of the history, and who caused it."""
    return [(each["what"], each.get("by")) for each in bench.record().follow_up.history]


def left_unknown(bench: AfterBench, fault: str = "lost_after") -> None:
    bench.break_creation(fault, count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()


def test_a_refund_by_hand_is_signed_from_its_claim_to_its_end(bench: AfterBench) -> None:
    bench.paid()
    before = story(bench)
    by_hand(bench).refund(RefundRequest(order_id="A-1", refund_id="R-1", amount=500))
    assert story(bench) == [*before, ("refund claimed", ANNA), ("refunded", ANNA)]
    assert bench.refunded() == 500


def test_a_capture_by_hand_is_signed(bench: AfterBench) -> None:
    bench.authorized()
    before = story(bench)
    by_hand(bench).capture(CaptureRequest(order_id="A-1", amount_to_capture=700))
    assert story(bench) == [*before, ("capture claimed", ANNA), ("capture seen", ANNA)]
    assert bench.orders.status(ORDER).amount_received == 700


def test_a_cancellation_by_hand_is_signed(bench: AfterBench) -> None:
    bench.ask()
    by_hand(bench).cancel(CancelRequest(order_id="A-1"))
    assert story(bench)[-1] == ("canceled", ANNA)
    assert bench.payable() == []


@pytest.mark.parametrize("fault", ["lost_after", "lost_before", "error_503"])
def test_an_unknown_order_is_resolved_and_signed(bench: AfterBench, fault: str) -> None:
    left_unknown(bench, fault)
    bench.now += 5
    before = story(bench)
    by_hand(bench).resolve(ORDER)
    assert bench.record().state == "created"
    after = story(bench)
    assert after[: len(before)] == before
    assert all(by == ANNA for _, by in after[len(before) :])
    assert ("taken over", ANNA) in after
    assert len(bench.payable()) == 1


def test_an_attempt_that_made_nothing_is_closed_and_signed(bench: AfterBench) -> None:
    left_unknown(bench, "error_500_without_object")
    by_hand(bench).resolve(ORDER)
    assert story(bench)[-1] == ("rejected", ANNA)
    assert bench.ask().intent.status == "requires_payment_method"


def test_an_order_that_stays_unknown_says_who_tried(bench: AfterBench) -> None:
    left_unknown(bench)
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayUnreachable):
        by_hand(bench).resolve(ORDER)
    assert story(bench)[-2:] == [("taken over", ANNA), ("unknown", ANNA)]


def refund(bench: AfterBench) -> None:
    by_hand(bench).refund(RefundRequest(order_id="A-1", refund_id="R-1", amount=500))


@pytest.mark.parametrize("step", range(len(AfterBench.steps_of(refund, AfterBench.paid))))
def test_another_writer_in_between_keeps_its_own_entry(bench: AfterBench, step: int) -> None:
    bench.paid()
    with bench.meanwhile(step, lambda: touch(bench)):
        refund(bench)
    signed = {what for what, by in story(bench) if by == ANNA}
    others = {what for what, by in story(bench) if by is None}
    assert {"refund claimed", "refunded"} <= signed
    assert signed.isdisjoint({"touched", "webhook", "claimed"})
    assert others.isdisjoint({"refund claimed", "refunded"})


def touch(bench: AfterBench) -> None:
    record = bench.record()
    bench.records.change(record, lambda held: transitions.touched(held, bench.now, "touched"))


def test_a_cancellation_that_a_webhook_recorded_first_is_signed(bench: AfterBench) -> None:
    bench.ask()
    bench.act(bench.record().payment_intent_id, "cancel")
    bench.apply_all()
    by_hand(bench).cancel(CancelRequest(order_id="A-1"))
    assert story(bench)[-2:] == [("webhook", None), ("by hand", ANNA)]
    assert bench.record().follow_up.history[-1]["action"] == "cancel"


def test_a_look_that_finds_nothing_is_signed(bench: AfterBench) -> None:
    bench.paid()
    by_hand(bench).resolve(ORDER)
    assert story(bench)[-1] == ("by hand", ANNA)


def test_a_refund_that_was_made_before_is_made_once(bench: AfterBench) -> None:
    bench.paid()
    request = RefundRequest(order_id="A-1", refund_id="R-1", amount=500)
    for _ in range(2):
        by_hand(bench).refund(request)
    assert bench.refunded() == 500
    assert story(bench)[-1] == ("by hand", ANNA)


def test_a_refused_action_leaves_no_entry(bench: AfterBench) -> None:
    bench.paid()
    before = story(bench)
    with pytest.raises(BadRequest):
        by_hand(bench).refund(RefundRequest(order_id="A-1", refund_id="R-1", amount=5000))
    assert story(bench) == before


def test_an_order_at_work_is_left_alone(bench: AfterBench) -> None:
    bench.records.claim(order_record(bench.wanted().order))
    with pytest.raises(InFlight):
        by_hand(bench).resolve(ORDER)
    with pytest.raises(NotFound):
        by_hand(bench).resolve(OrderRequest(order_id="A-2"))


def test_resolving_settles_a_refund_whose_answer_was_lost(bench: AfterBench) -> None:
    bench.paid()
    lost = FaultOrder("lost_after", Match(method="POST", path="/v1/refunds"), count=3)
    bench.sandbox.faults.order(lost)
    with pytest.raises(GatewayUnreachable):
        bench.refund("R-1", 500)
    [refund] = bench.orders.status(ORDER).refunds
    assert refund["status"] == "unknown"
    by_hand(bench).resolve(ORDER)
    [refund] = bench.orders.status(ORDER).refunds
    assert refund["status"] == "succeeded"
    assert story(bench)[-1] == ("reconciled", ANNA)


def test_resolving_cancels_the_late_payment_of_an_abandoned_attempt(bench: AfterBench) -> None:
    left_unknown(bench, "error_500_without_object")
    by_hand(bench).resolve(ORDER)
    bench.ask()
    assert bench.record().follow_up.look_ups
    stray = bench.stray("A-1")
    bench.now += 1
    by_hand(bench).resolve(ORDER)
    assert stray not in bench.payable()
    assert ("ending", ANNA) in story(bench)


def test_signing_keeps_what_a_newer_version_has_added() -> None:
    bench = AfterBench()
    stored = to_stored(order_record(bench.wanted().order))
    text = json.dumps({**json.loads(stored.follow_up), "of_tomorrow": 1})
    held = of_stored(bench.store.claim(replace(stored, follow_up=text)))
    signed = SignedRecords(bench.store, ANNA)
    assert signed.change(held, lambda record: transitions.touched(record, NOW, "looked at"))
    kept: dict[str, Any] = json.loads(bench.record().stored.follow_up)
    assert kept["of_tomorrow"] == 1
    assert kept["history"][-1]["by"] == ANNA


def test_resolving_an_order_at_paypal_captures_and_clears_stripe() -> None:
    """Its record has a leftover: Stripe made a PaymentIntent and did not answer."""
    bench = TwoGateways()
    orders = Orders(bench.context, livemode=False, budget_seconds=BUDGET_SECONDS)
    bench.silence_stripe("lost_after")
    made = bench.ask().intent
    bench.heal_stripe()
    assert len(bench.payable()) == 1
    bench.approve(made.id)
    ByHand(orders, ANNA).resolve(ORDER)
    assert bench.captured() == [made.id]
    assert bench.record().payment_status == "succeeded"
    assert bench.payable() == []


def test_capture_whose_sender_is_gone_is_open_work() -> None:
    claim = GatedCapture(claimed_at=NOW, until=NOW + 25)
    record = order_record(Order(False, None, "A-1"), gated_capture=claim)
    assert "capture_unknown" not in open_items(record, NOW)
    assert "capture_unknown" in open_items(record, NOW + 26)
