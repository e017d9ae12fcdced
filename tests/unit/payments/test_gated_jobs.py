"""The job that looks for approvals, and the reconciler, for orders at a gated gateway."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.background.start import open_approvals
from payment_service.errors import PaymentError
from payment_service.payments.context import Context
from sandbox.paypal.acts import change_capture
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.gated_bench import HOUR, GatedBench


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


def looks_at(bench: GatedBench, seconds: float) -> list[float]:
    """Return when the job looks within so many seconds, since now."""
    began, seen = bench.now, []
    while bench.now - began < seconds:
        bench.now += 15
        seen += [bench.now - began for _ in bench.look_for_approvals()]
    return seen


def test_page_given_out_is_looked_at_ever_less_often(bench: GatedBench) -> None:
    bench.given_out()
    minutes = [seconds / 60 for seconds in looks_at(bench, 4.1 * HOUR)]
    assert minutes == [1, 5, 15, 60, 120, 180, 240]


def test_looks_end_with_the_payment(bench: GatedBench) -> None:
    bench.given_out()
    looks_at(bench, 7 * HOUR)
    assert (bench.status(), bench.record().follow_up.approval_look) == ("canceled", None)
    assert looks_at(bench, 7 * HOUR) == []


def test_approval_of_a_shopper_who_left_is_captured(bench: GatedBench) -> None:
    payment_id = bench.approved()
    assert looks_at(bench, HOUR) == [60]
    assert (bench.status(), bench.money_taken()) == ("succeeded", [payment_id])


@pytest.mark.parametrize(("age", "pause"), [(0, 15), (61, 60), (HOUR, 60), (25 * HOUR, HOUR)])
def test_unknown_capture_is_asked_after_soon(bench: GatedBench, age: float, pause: float) -> None:
    bench.approved()
    bench.break_captures("lost_before", count=None)
    bench.tried()
    bench.break_reads("unauthorized")
    bench.now += 15 + age
    looked_at = bench.now
    assert bench.look_for_approvals() == [False]
    look = bench.record().follow_up.approval_look
    assert look is not None
    assert look - looked_at == pause


def test_two_processes_take_a_look_once(bench: GatedBench) -> None:
    bench.approved()
    bench.now += 60
    first, second = bench.due(), bench.due()
    looks = bench.approvals()
    assert looks.run(first[0])
    assert not looks.run(second[0])
    assert bench.captures_sent() == 1


def test_loop_runs_the_looks_that_are_due(bench: GatedBench) -> None:
    bench.approved()
    loop = open_approvals(*service_of(bench.context))
    assert loop is not None
    assert loop.run_once() == 0
    bench.now += 60
    assert loop.run_once() == 1
    assert loop.run_once() == 0
    assert bench.status() == "succeeded"


def test_no_job_looks_where_no_gateway_is_gated(bench: GatedBench) -> None:
    assert open_approvals(*service_of(replace(bench.context, gated={}))) is None


def service_of(context: Context) -> tuple[Any, Any]:
    """Return the settings and the payments of a service with one account."""
    orders = SimpleNamespace(context=context)
    payments = SimpleNamespace(
        accounts=lambda: [(context, lambda _: True)], orders=orders, orders_of=lambda _: orders
    )
    return SimpleNamespace(request_budget_seconds=BUDGET_SECONDS), payments


def test_failed_look_is_followed_by_the_next_one(bench: GatedBench) -> None:
    bench.given_out()
    bench.break_reads("lost_before")
    bench.now += 60
    assert bench.look_for_approvals() == [False]
    assert bench.record().follow_up.approval_look == pytest.approx(bench.now + 240, abs=30)


def test_look_at_an_order_that_went_to_stripe_is_dropped(bench: GatedBench) -> None:
    bench.given_out()
    moved = replace(bench.record(), sent=bench.wanted().sent, version=bench.record().version + 1)
    bench.records.write(bench.record(), moved)
    bench.now += 60
    sent = len(bench.at_paypal)
    bench.look_for_approvals()
    assert bench.record().follow_up.approval_look is None
    assert len(bench.at_paypal) == sent


# The reconciler.


def test_reconciler_captures_what_is_approved(bench: GatedBench) -> None:
    payment_id = bench.approved()
    assert bench.reconcile(dry_run=True) == {"checked": 1, "noted": 1}
    assert bench.money_taken() == []
    assert bench.reconcile() == {"checked": 1, "paid_late": 1}
    assert (bench.status(), bench.money_taken()) == ("succeeded", [payment_id])
    assert bench.reconcile() == {"checked": 1}


def test_reconciler_resolves_a_lost_capture(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.break_captures("lost_before", count=None)
    bench.tried()
    assert bench.reconcile() == {"checked": 1, "unresolved": 1}
    bench.paypal.faults.clear()
    assert bench.reconcile() == {"checked": 1, "paid_late": 1}
    assert bench.money_taken() == [payment_id]


def test_reconciler_records_what_a_bank_decided(bench: GatedBench) -> None:
    payment_id = bench.approved("PENDING")
    bench.complete()
    change_capture(bench.paypal, payment_id, "COMPLETED")
    assert bench.reconcile() == {"checked": 1, "paid_late": 1}


def test_reconciler_tries_no_declined_payment_again(bench: GatedBench) -> None:
    bench.paypal.rules = dataclasses.replace(bench.paypal.rules, declined_goes_back=False)
    bench.approved("INSTRUMENT_DECLINED")
    bench.complete()
    bench.reconcile()
    assert bench.captures_sent() == 1


def test_reconciler_asks_paypal_before_it_closes_an_unknown_attempt(bench: GatedBench) -> None:
    leave_unknown(bench)
    assert bench.reconcile() == {"checked": 1, "unresolved": 1}
    bench.heal_paypal()
    assert bench.reconcile(dry_run=True) == {"checked": 1, "unresolved": 1}
    assert bench.reconcile() == {"checked": 1, "closed": 1}
    assert (len(bench.paypal.orders), bench.record().state) == (1, "rejected")


def leave_unknown(bench: GatedBench) -> None:
    """Have PayPal make the payment without an answer."""
    bench.break_paypal("lost_after")
    with pytest.raises(PaymentError):
        bench.given_out()
    bench.now += 60


def test_reconciler_cancels_a_leftover_at_stripe(bench: GatedBench) -> None:
    bench.silence_stripe("lost_after")
    payment_id = bench.ask_in(bench.context).intent.id
    bench.heal_stripe()
    assert bench.reconcile(dry_run=True) == {"checked": 1, "canceled": 1}
    assert bench.reconcile() == {"checked": 1, "canceled": 1}
    assert bench.payable() == []
    assert bench.record().payment_intent_id == payment_id


def test_reconciler_leaves_an_approval_that_is_paid_elsewhere(bench: GatedBench) -> None:
    bench.silence_stripe("lost_after")
    payment_id = bench.ask_in(bench.context).intent.id
    bench.heal_stripe()
    [leftover] = bench.payable()
    bench.act(leftover, "confirm")
    bench.approve_as(payment_id)
    found = bench.reconcile()
    assert found["alarms"] == [f"stray_paid: order 'A-1' {leftover}"]
    assert (bench.money_taken(), bench.captures_sent()) == ([leftover], 0)


def test_reconciler_names_an_order_that_was_paid_before(bench: GatedBench) -> None:
    bench.approved()
    bench.complete()
    bench.lose()
    bench.now += 7 * HOUR
    bench.approved()
    assert bench.reconcile()["alarms"][0].startswith("paid_before: order 'A-1'")
    assert bench.reconcile()["unresolved"] == 1
