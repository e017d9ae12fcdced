"""Events of both gateways, for orders that may be at either (rule 13)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from payment_service.errors import InFlight, PaymentError
from payment_service.payments.changes.free import check_missing, free_order
from payment_service.payments.gated.complete import complete_with_link
from sandbox.paypal.acts import change_capture, refund
from tests.support.gated_bench import HOUR, GatedBench

APPROVED, COMPLETED = "CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED"


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


def last(bench: GatedBench, kind: str) -> dict[str, Any]:
    return next(each for each in reversed(bench.paypal_events()) if each["event_type"] == kind)


def test_approval_is_captured(bench: GatedBench) -> None:
    payment_id = bench.approved()
    event = last(bench, APPROVED)
    assert [bench.apply_paypal(event) for _ in range(2)] == ["applied", "duplicate"]
    assert (bench.status(), bench.money_taken()) == ("succeeded", [payment_id])
    assert [bench.apply_paypal(each) for each in bench.paypal_events()] == ["duplicate", "applied"]
    assert (bench.deliver_all(), bench.captures_sent()) == (["order.paid"], 1)


def test_event_that_cannot_be_applied_is_sent_again(bench: GatedBench) -> None:
    bench.approved()
    bench.break_reads("lost_before")
    with pytest.raises(PaymentError):
        bench.apply_paypal(last(bench, APPROVED))
    bench.paypal.faults.clear()
    assert bench.apply_paypal(last(bench, APPROVED)) == "applied"
    assert bench.status() == "succeeded"


def test_only_another_approval_tries_again_after_a_decline(bench: GatedBench) -> None:
    bench.paypal.rules = dataclasses.replace(bench.paypal.rules, declined_goes_back=False)
    payment_id = bench.approved("INSTRUMENT_DECLINED")
    declined = last(bench, APPROVED)
    assert bench.apply_paypal(declined) == "applied"
    other = {**declined, "id": "WH-2", "event_type": "CHECKOUT.ORDER.PROCESSED"}
    assert bench.apply_paypal(other) == "applied"
    assert bench.captures_sent() == 1
    bench.approve_as(payment_id)
    assert bench.apply_paypal(last(bench, APPROVED)) == "applied"
    assert bench.money_taken() == [payment_id]


def test_event_settles_a_pending_payment(bench: GatedBench) -> None:
    payment_id = bench.approved("PENDING")
    bench.complete()
    change_capture(bench.paypal, payment_id, "COMPLETED")
    assert bench.apply_paypal(last(bench, COMPLETED)) == "applied"
    assert bench.status() == "succeeded"


def test_approval_of_a_canceled_payment_is_ignored(bench: GatedBench) -> None:
    payment_id = bench.given_out()
    bench.cancel()
    bench.approve_as(payment_id)
    assert bench.apply_paypal(last(bench, APPROVED)) == "ignored"
    assert (bench.status(), bench.money_taken()) == ("canceled", [])


def test_money_of_a_canceled_payment_is_recorded_with_an_alarm(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.cancel()
    bench.capture_named(payment_id)
    assert bench.apply_paypal(last(bench, COMPLETED)) == "adopted"
    assert bench.status() == "succeeded"
    assert "stray_paid" in bench.whats()
    assert bench.deliver_all() == ["order.canceled", "order.paid"]


def test_captured_payment_of_a_lost_order_is_adopted(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.complete()
    sent = bench.record().sent
    bench.lose()
    assert bench.apply_paypal(last(bench, COMPLETED)) == "adopted"
    record = bench.record()
    assert (record.payment_intent_id, record.payment_status) == (payment_id, "succeeded")
    assert record.sent.gateway == "paypal"
    assert record.sent.params["invoice_id"] == sent.params["invoice_id"]
    assert complete_with_link(bench.context, record, bench.soon())[1].status == "succeeded"
    assert bench.ask().gateway == "paypal"


def test_pending_payment_of_a_lost_order_is_looked_at_again(bench: GatedBench) -> None:
    payment_id = bench.approved("PENDING")
    bench.complete()
    bench.lose()
    assert bench.apply_paypal(last(bench, "PAYMENT.CAPTURE.PENDING")) == "adopted"
    change_capture(bench.paypal, payment_id, "COMPLETED")
    bench.now += HOUR
    bench.look_for_approvals()
    assert bench.status() == "succeeded"


def test_approval_of_a_lost_order_moves_no_money(bench: GatedBench) -> None:
    bench.approved()
    bench.lose()
    assert bench.apply_paypal(last(bench, APPROVED)) == "unknown_order"
    assert (bench.record(), bench.money_taken()) == (None, [])


def test_event_that_names_another_order_is_not_ours(bench: GatedBench) -> None:
    bench.approved()
    event = last(bench, APPROVED)
    event["resource"]["purchase_units"][0]["custom_id"] = "A-2"
    assert bench.apply_paypal(event) == "not_ours"


def test_approval_of_a_payment_that_was_updated_is_ignored(bench: GatedBench) -> None:
    payment_id = bench.given_out()
    assert bench.update(2000).intent.id != payment_id
    bench.approve_as(payment_id)
    assert bench.apply_paypal(last(bench, APPROVED)) == "ignored"
    assert bench.money_taken() == []


def test_capture_of_another_payment_is_adopted_with_an_alarm(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.update_record_to_stripe()
    [given_out] = bench.payable()
    assert bench.record().payment_intent_id == given_out
    bench.capture_named(payment_id)
    assert bench.apply_paypal(last(bench, COMPLETED)) == "adopted"
    record = bench.record()
    assert (record.payment_intent_id, record.payment_status) == (payment_id, "succeeded")
    assert (bench.payable(), bench.money_taken()) == ([], [payment_id])
    assert "stray_paid" in bench.whats()


def test_capture_beside_a_paid_order_raises_the_alarm(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.update_record_to_stripe()
    [given_out] = bench.payable()
    bench.act(given_out, "confirm")
    bench.apply_all()
    bench.capture_named(payment_id)
    assert bench.apply_paypal(last(bench, COMPLETED)) == "two_paid"
    assert bench.record().payment_intent_id == given_out
    assert "two_taken" in bench.whats()


def test_event_of_the_other_gateway_resolves_no_attempt(bench: GatedBench) -> None:
    bench.break_paypal("lost_before")
    with pytest.raises(PaymentError):
        bench.given_out()
    stray = bench.stray("A-1")
    before = bench.record()
    bench.now += 60
    created, *_ = bench.events()
    assert bench.apply(created) == "in_flight"
    bench.act(stray, "confirm")
    with pytest.raises(InFlight):
        bench.apply(bench.events()[-1])
    assert bench.record() == before


def test_stripes_event_about_a_leftover_cancels_it_at_stripe(bench: GatedBench) -> None:
    bench.silence_stripe("lost_after")
    payment_id = bench.ask_in(bench.context).intent.id
    bench.heal_stripe()
    [created] = [each for each in bench.events() if each["type"].endswith("created")]
    assert bench.apply(created) == "stray_canceled"
    assert bench.payable() == []
    assert bench.record().payment_intent_id == payment_id


def test_paid_leftover_takes_the_place_of_an_unclaimed_payment(bench: GatedBench) -> None:
    bench.silence_stripe("lost_after")
    bench.ask_in(bench.context)
    bench.heal_stripe()
    [leftover] = bench.payable()
    bench.act(leftover, "confirm")
    assert bench.apply(bench.events()[-1]) == "stray_paid"
    record = bench.record()
    assert (record.payment_intent_id, record.sent.gateway) == (leftover, "stripe")
    assert record.follow_up.approval_look is None
    assert bench.look_for_approvals() == []


def test_order_paid_before_takes_no_event(bench: GatedBench) -> None:
    bench.paid_before()
    sent = bench.captures_sent()
    assert bench.apply_paypal(last(bench, APPROVED)) == "paid_before"
    assert bench.captures_sent() == sent


def test_late_event_about_a_refunded_payment_changes_nothing(bench: GatedBench) -> None:
    """A person has refunded the forgotten payment, and freed the order."""
    first = bench.paid_before()
    completed = last(bench, COMPLETED)
    refund(bench.paypal, first)
    free_order(bench.context, check_missing(bench.context, bench.record().order, bench.soon()), "")
    second = bench.ask().intent.id
    assert bench.apply_paypal(completed) == "ignored"
    assert (bench.record().payment_intent_id, bench.payable()) == (second, [second])
    assert "order.paid" not in bench.deliver_all()


def test_event_about_the_forgotten_payment_lifts_the_fence(bench: GatedBench) -> None:
    first = bench.paid_before()
    completed = last(bench, COMPLETED)
    assert bench.apply_paypal(completed) == "adopted"
    record = bench.record()
    assert (record.payment_intent_id, record.follow_up.paid_before) == (first, False)
    assert bench.complete().status == "succeeded"
