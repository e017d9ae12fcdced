"""A store that loses the record of an order paid at PayPal makes no second payment (rule 22)."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.background.start import open_witnesses
from payment_service.errors import (
    GatewayNotAccepted,
    GatewayUnreachable,
    Misconfigured,
    PaymentError,
    Refused,
)
from payment_service.gateways.intent import MOVED_TO
from payment_service.gateways.outcome import Declined
from payment_service.payments.creation.resolve import resolve
from payment_service.payments.creation.states import Created
from payment_service.payments.record.gateways import Witness
from payment_service.payments.recovery.witnesses import MOST_AT_ONCE, Pace, Witnesses
from sandbox.faults import FaultOrder, Match
from sandbox.paypal.acts import change_capture
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.gated_bench import HOUR, GatedBench
from tests.support.switch_bench import STRIPE_ONLY
from tests.unit.payments.test_gated_jobs import service_of

REFUSAL = Declined(Refused("Stripe rejected it."), replayed=False)
CREATE = Match(method="POST", path="/v1/payment_intents$")
KINDS = ["circuit open", "lost_before", "lost_after", "error_500_with_object"]


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


def paid(bench: GatedBench, kind: str = "circuit open", plan: str = "COMPLETED") -> str:
    """Pay the order at PayPal. `kind`: why it went there, or the fate of its send to Stripe."""
    if kind == "circuit open":
        payment_id = bench.given_out()
    else:
        # A look-up would settle the send: it gets no answer either.
        look_up = FaultOrder("lost_before", Match(method="GET"), count=None)
        bench.sandbox.faults.order(FaultOrder(kind, CREATE, count=4), look_up)
        created = bench.ask_in(bench.context)
        assert (created.gateway, bench.sandbox.faults.fired[kind] > 0) == ("paypal", True)
        payment_id = created.intent.id
    bench.silence_stripe("lost_before")
    bench.approve_as(payment_id, plan)
    assert bench.complete().status in ("succeeded", "processing")
    return payment_id


def witnesses(bench: GatedBench) -> Witnesses:
    pace = Pace(lambda: bench.now)
    return Witnesses(bench.context, lambda _: bench.context, BUDGET_SECONDS, pace)


def make(bench: GatedBench) -> list[bool]:
    """Make every witness that is due."""
    job = witnesses(bench)
    return [job.run(each) for each in job.due(10)]


def witnessed(bench: GatedBench, kind: str = "circuit open", **more: Any) -> str:
    payment_id = paid(bench, kind, **more)
    bench.heal_stripe()
    bench.now += 61
    assert make(bench) == [True]
    return payment_id


def state(bench: GatedBench) -> str | None:
    witness: Witness | None = bench.record().follow_up.witness
    return None if witness is None else witness.state


def marks(bench: GatedBench) -> set[str | None]:
    return {each["metadata"].get("moved_to") for each in bench.made()}


def check_answered(bench: GatedBench, payment_id: str, **more: Any) -> None:
    """The same request answers the payment at PayPal, and nothing can be paid at Stripe."""
    answer = bench.ask(**more)
    assert (answer.intent.id, answer.gateway) == (payment_id, "paypal")
    assert answer.intent.status in ("succeeded", "processing")
    assert (bench.payable(), bench.money_taken()) == ([], [payment_id])
    assert bench.record().payment_intent_id == payment_id


@pytest.mark.parametrize("kind", KINDS)
def test_lost_record_answers_the_payment_that_was_taken(bench: GatedBench, kind: str) -> None:
    payment_id = witnessed(bench, kind)
    assert (state(bench), bench.payable()) == ("made", [])
    assert marks(bench) == {f"paypal:{payment_id}"}
    bench.lose()
    bench.now += 60
    check_answered(bench, payment_id)


@pytest.mark.parametrize("kind", KINDS)
def test_another_request_of_the_lost_order_makes_no_payment(bench: GatedBench, kind: str) -> None:
    payment_id = witnessed(bench, kind)
    bench.lose()
    bench.now += 60
    check_answered(bench, payment_id, amount=2000)


@pytest.mark.parametrize("lag", [0.0, 60.0, HOUR])
@pytest.mark.parametrize("later", [60, 2 * HOUR, 20 * HOUR])
def test_witness_is_found_for_a_day(bench: GatedBench, later: float, lag: float) -> None:
    bench.sandbox.rules = dataclasses.replace(bench.sandbox.rules, search_lag_seconds=lag)
    payment_id = witnessed(bench, "lost_after")
    bench.lose()
    bench.now += later
    check_answered(bench, payment_id)


def test_paid_order_without_a_witness_is_paid_twice_if_its_record_is_lost(
    bench: GatedBench,
) -> None:
    """Without the witness, the shopper can pay the new payment too."""
    paid(bench)
    bench.heal_stripe()
    bench.lose()
    assert len([bench.ask().intent.id]) == len(bench.payable()) == 1


def test_stripe_forgets_the_witness_after_a_day(bench: GatedBench) -> None:
    """Not covered: a new order looks the same to the service."""
    witnessed(bench)
    bench.lose()
    bench.now += 26 * HOUR
    assert bench.ask().gateway == "stripe"


def test_payment_that_is_pending_at_a_bank_is_adopted_too(bench: GatedBench) -> None:
    payment_id = witnessed(bench, plan="PENDING")
    bench.lose()
    check_answered(bench, payment_id)
    change_capture(bench.paypal, payment_id, "COMPLETED")
    bench.now += HOUR
    bench.look_for_approvals()
    assert bench.status() == "succeeded"


def test_payment_that_a_bank_declined_later_is_not_adopted(bench: GatedBench) -> None:
    payment_id = witnessed(bench, plan="PENDING")
    change_capture(bench.paypal, payment_id, "DECLINED")
    bench.lose()
    bench.now += 60
    for _ in range(3):
        try:
            answer = bench.ask()
        except PaymentError:
            bench.now += 60
        else:
            break
    assert (answer.gateway, answer.intent.status) == ("stripe", "requires_payment_method")
    assert bench.payable() == [answer.intent.id]


def answered(bench: GatedBench) -> Created:
    """Return the answer to a request, which may have to be sent again."""
    for _ in range(5):
        bench.now += 60
        with suppress(PaymentError):
            return bench.ask()
    return bench.ask()


@pytest.mark.parametrize("is_silent", [False, True])
def test_mark_of_a_denied_payment_blocks_no_other(bench: GatedBench, is_silent: bool) -> None:
    payment_id = witnessed(bench, plan="PENDING")
    change_capture(bench.paypal, payment_id, "DECLINED")
    bench.now += HOUR
    bench.look_for_approvals()
    assert bench.status() == "canceled"
    if is_silent:
        bench.break_reads("lost_before")
    else:
        del bench.paypal.orders[payment_id]
    given = answered(bench)
    assert (given.gateway, given.intent.status) == ("stripe", "requires_payment_method")
    assert bench.payable() == [given.intent.id]
    assert answered(bench).intent.id == given.intent.id


def pending(bench: GatedBench) -> str:
    """Pay the order with a payment that waits for a bank, and let its witness be due."""
    payment_id = paid(bench, "lost_after", plan="PENDING")
    bench.heal_stripe()
    bench.now += 61
    return payment_id


@pytest.mark.parametrize("step", range(len(GatedBench.steps_of(make, pending))))
def test_payment_that_follows_a_denial_gets_no_mark(bench: GatedBench, step: int) -> None:
    """The witness is being made when the capture is denied and the order begins anew."""
    payment_id = pending(bench)
    begun: list[str] = []
    with bench.meanwhile(step, partial(begin_anew, bench, payment_id, begun)):
        make(bench)
    [given] = [each for each in bench.made() if each["id"] == begun[0]]
    assert MOVED_TO not in given["metadata"]
    assert bench.payable() == begun


def begin_anew(bench: GatedBench, payment_id: str, begun: list[str]) -> None:
    change_capture(bench.paypal, payment_id, "DECLINED")
    bench.now += HOUR
    bench.look_for_approvals()
    begun.append(answered(bench).intent.id)


def test_lost_record_is_told_to_the_shop_as_paid(bench: GatedBench) -> None:
    payment_id = witnessed(bench)
    bench.lose()
    check_answered(bench, payment_id)
    assert bench.deliver_all()[-1] == "order.paid"
    assert "stray_paid" not in bench.whats()


def test_rebuilt_record_gets_its_witness_again(bench: GatedBench) -> None:
    payment_id = witnessed(bench, "lost_after")
    bench.lose()
    check_answered(bench, payment_id)
    made = len(bench.made())
    bench.now += 61
    assert make(bench) == [True]
    assert (state(bench), len(bench.made()), bench.payable()) == ("made", made, [])


# Requests that meet the mark.


@pytest.mark.parametrize("kind", KINDS)
def test_request_that_accepts_stripe_only_is_refused(bench: GatedBench, kind: str) -> None:
    payment_id = witnessed(bench, kind)
    bench.lose()
    bench.now += 60
    with pytest.raises(GatewayNotAccepted):
        bench.ask(accepts=STRIPE_ONLY)
    assert bench.record().payment_intent_id == payment_id
    assert bench.payable() == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_payment_is_made_while_paypal_does_not_answer(bench: GatedBench, kind: str) -> None:
    payment_id = witnessed(bench, kind)
    bench.lose()
    bench.break_reads("lost_before")
    for _ in range(3):
        bench.now += 60
        with pytest.raises(GatewayUnreachable):
            bench.ask()
        assert bench.payable() == []
    assert len(bench.paypal.orders) == 1
    bench.heal_paypal()
    bench.now += 60
    check_answered(bench, payment_id)


def test_payment_that_paypal_does_not_know_blocks_another(bench: GatedBench) -> None:
    payment_id = witnessed(bench)
    bench.lose()
    del bench.paypal.orders[payment_id]
    with pytest.raises(GatewayUnreachable):
        bench.ask()
    assert bench.payable() == []


@pytest.mark.parametrize("kind", KINDS)
def test_service_without_the_gateway_is_misconfigured(bench: GatedBench, kind: str) -> None:
    witnessed(bench, kind)
    bench.lose()
    bench.now += 60
    bench.context = replace(bench.context, gated={}, several_gateways=False, failover=None)
    with pytest.raises(Misconfigured):
        bench.ask(accepts=STRIPE_ONLY)
    assert bench.payable() == []


def test_mark_of_another_order_is_not_believed(bench: GatedBench) -> None:
    payment_id = witnessed(bench)
    other = bench.ask("B-1").intent.id
    bench.sandbox.handle(
        "POST",
        f"/v1/payment_intents/{other}",
        {"authorization": "Bearer sk_test_shop"},
        f"metadata[moved_to]=paypal:{payment_id}".encode(),
    )
    with pytest.raises(GatewayUnreachable):
        bench.ask("B-1")
    assert bench.record("B-1").payment_intent_id == other


def test_unknown_attempt_is_resolved_to_the_payment(bench: GatedBench) -> None:
    payment_id = witnessed(bench, "lost_after")
    bench.lose()
    bench.break_reads("lost_before")
    bench.now += 60
    with pytest.raises(GatewayUnreachable):
        bench.ask(amount=2000)
    bench.heal_paypal()
    bench.now += 60
    resolved = resolve(bench.context, bench.record(), bench.soon())
    assert resolved is not None
    assert resolved.payment_intent_id == payment_id


def test_rolled_back_record_of_a_canceled_payment_is_led_there(bench: GatedBench) -> None:
    canceled = bench.ask(accepts=STRIPE_ONLY).intent.id
    bench.cancel()
    before = bench.record()
    assert before.payment_status == "canceled"
    payment_id = witnessed(bench)
    bench.lose()
    assert bench.records.claim(before) is before
    assert bench.record().payment_intent_id == canceled
    check_answered(bench, payment_id, amount=2000)


# The job.


def test_witness_waits_for_stripe(bench: GatedBench) -> None:
    payment_id = paid(bench)
    for _ in range(5):
        bench.now += 61
        assert make(bench) in ([False], [])
    assert (state(bench), bench.made()) == ("due", [])
    bench.heal_stripe()
    bench.now += HOUR
    assert make(bench) == [True]
    bench.lose()
    check_answered(bench, payment_id)


def test_witness_waits_while_the_circuit_is_open(bench: GatedBench) -> None:
    paid(bench)
    bench.heal_stripe()
    bench.open_circuit()
    bench.now += 61
    sent = bench.stripe_sends()
    assert (make(bench), bench.stripe_sends()) == ([], sent)
    assert bench.context.failover
    bench.context.failover.circuits.note("stripe", failed=False)
    assert make(bench) == [True]


def test_service_gives_up_after_a_day(bench: GatedBench) -> None:
    paid(bench)
    tries = 0
    while bench.record().follow_up.witness.at is not None and tries < 100:
        bench.now = max(bench.now, bench.record().follow_up.witness.at)
        tries += len(make(bench))
        if tries == 40:
            bench.heal_stripe()
    assert (40 < tries < 50, state(bench), bench.made()) == (True, "given_up", [])
    bench.now += 48 * HOUR
    assert make(bench) == []


def test_late_try_cancels_what_an_earlier_one_made(bench: GatedBench) -> None:
    paid(bench)
    bench.heal_stripe()
    bench.sandbox.faults.order(FaultOrder("lost_after", CREATE, count=None))
    bench.now += 61
    assert (make(bench), len(bench.payable())) == ([False], 1)
    bench.now += 25 * HOUR
    assert make(bench) == [True]
    assert (state(bench), bench.payable()) == ("given_up", [])


def test_leftover_that_appears_late_is_marked_too(bench: GatedBench) -> None:
    payment_id = witnessed(bench, "lost_before")
    assert state(bench) == "made"
    late = bench.stray("A-1")
    bench.look_at_all()
    assert (bench.payable(), marks(bench)) == ([], {f"paypal:{payment_id}", None})
    bench.now += 600
    assert make(bench) == [True]
    assert marks(bench) == {f"paypal:{payment_id}"}
    assert bench.record().follow_up.witness.at is None
    assert late in {each["id"] for each in bench.made()}


def test_canceled_payment_that_takes_no_mark_leaves_it_to_the_next_key(
    bench: GatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = paid(bench, "lost_after")
    bench.heal_stripe()
    bench.look_at_all()
    [leftover] = bench.made()
    assert leftover["status"] == "canceled"
    monkeypatch.setattr(bench.context.gateway, "update", lambda *_: REFUSAL)
    assert make(bench) == [True]
    assert marks(bench) == {None, f"paypal:{payment_id}"}
    bench.lose()
    bench.now += 60
    check_answered(bench, payment_id)


def test_paid_leftover_beside_the_payment_is_an_alarm(bench: GatedBench) -> None:
    paid(bench, "lost_after")
    bench.heal_stripe()
    [leftover] = bench.payable()
    bench.act(leftover, "confirm")
    bench.now += 61
    make(bench)
    assert "two_taken" in bench.whats()


def test_amount_that_stripe_refuses_ends_the_tries(
    bench: GatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid(bench)
    bench.heal_stripe()
    monkeypatch.setattr(bench.context.gateway, "create", lambda *_: REFUSAL)
    bench.now += 61
    assert make(bench) == [True]
    assert (state(bench), bench.record().follow_up.witness.at) == ("refused", None)


def test_record_that_names_another_payment_by_now_gets_none(bench: GatedBench) -> None:
    paid(bench)
    bench.heal_stripe()
    moved = replace(bench.record(), sent=bench.wanted().sent, version=bench.record().version + 1)
    bench.records.write(bench.record(), moved)
    bench.now += 61
    sent = bench.stripe_sends()
    assert make(bench) == [True]
    assert (bench.stripe_sends(), state(bench)) == (sent, None)


def test_order_without_a_gated_payment_has_no_witness(bench: GatedBench) -> None:
    given = bench.ask(accepts=STRIPE_ONLY).intent.id
    bench.act(given, "confirm")
    bench.apply_all()
    bench.ask(accepts=STRIPE_ONLY)
    assert (bench.status(), state(bench)) == ("succeeded", None)


def test_process_that_lacks_the_clients_gateway_leaves_the_witness_to_others(
    bench: GatedBench,
) -> None:
    """In a rolling change of the clients file, only some processes have the client's account."""
    paid(bench)
    bench.heal_stripe()
    bench.now += 61
    stripe_only = replace(bench.context, gated={})
    job = Witnesses(stripe_only, lambda _: stripe_only, BUDGET_SECONDS, Pace(lambda: bench.now))
    before = bench.record()
    assert [job.run(each) for each in job.due(10)] == [False]
    assert bench.record() == before
    assert make(bench) == [True]


def test_claimed_capture_has_no_witness(bench: GatedBench) -> None:
    bench.approved()
    bench.break_captures("lost_before", count=None)
    bench.tried()
    assert (bench.status(), state(bench)) == ("processing", None)


def test_process_makes_a_few_a_second() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    assert pace.left() == MOST_AT_ONCE
    pace.spend(10)
    assert pace.left() == 0
    now = 2.0
    assert pace.left() == 4
    now = 3600.0
    assert pace.left() == MOST_AT_ONCE


def test_loop_makes_the_witnesses_that_are_due(bench: GatedBench) -> None:
    paid(bench)
    bench.heal_stripe()
    loop = open_witnesses(*service_of(bench.context))
    assert loop is not None
    assert loop.run_once() == 0
    bench.now += 61
    assert loop.run_once() == 1
    assert loop.run_once() == 0
    assert state(bench) == "made"


def test_no_job_runs_where_no_gateway_is_gated(bench: GatedBench) -> None:
    assert open_witnesses(*service_of(replace(bench.context, gated={}))) is None


# Crashes.


@pytest.mark.parametrize("kind", ["circuit open", "lost_before", "lost_after"])
def test_crash_at_any_step_repeats_safely(kind: str) -> None:
    step, ended = 0, False
    while not ended:
        bench = GatedBench()
        payment_id = paid(bench, kind)
        bench.heal_stripe()
        bench.now += 61
        job = witnesses(bench)
        [due] = job.due(10)
        ended = not bench.crashing(step, partial(job.run, due))
        bench.now += 3 * 61
        if not ended:
            assert make(bench) in ([True], [])
        assert (state(bench), bench.payable()) == ("made", []), step
        assert bench.money_taken() == [payment_id]
        bench.lose()
        check_answered(bench, payment_id)
        step += 1
    assert step > 5


@pytest.mark.parametrize("kind", ["circuit open", "lost_after"])
def test_record_lost_after_a_crash_leaves_nothing_payable(kind: str) -> None:
    """From the first mark on, even half a witness leads to the payment."""
    step, ended = 0, False
    while not ended:
        bench = GatedBench()
        payment_id = paid(bench, kind)
        bench.heal_stripe()
        bench.now += 61
        job = witnesses(bench)
        [due] = job.due(10)
        ended = not bench.crashing(step, partial(job.run, due))
        is_marked = f"paypal:{payment_id}" in marks(bench)
        bench.lose()
        bench.now += 60
        if is_marked:
            check_answered(bench, payment_id)
        step += 1
    assert is_marked


def test_adoption_that_crashes_at_any_step_is_repeated(bench: GatedBench) -> None:
    for kind in KINDS:
        step, ended = 0, False
        while not ended:
            bench = GatedBench()
            payment_id = witnessed(bench, kind)
            bench.lose()
            bench.now += 60
            ended = not bench.crashing(step, bench.ask)
            bench.now += 60
            check_answered(bench, payment_id)
            step += 1
        assert step > 5


# Before the capture of a second payment.


def switched_again(bench: GatedBench) -> str:
    """Lose the record, and pass the order over again while Stripe is silent; approve.

    PayPal has forgotten the first creation by then, or it would return that one.
    """
    bench.lose()
    bench.now += 7 * HOUR
    bench.silence_stripe()
    again = bench.ask_in(bench.context).intent.id
    bench.heal_stripe()
    bench.approve_as(again)
    return again


@pytest.mark.parametrize("kind", KINDS)
def test_second_payment_is_not_captured_if_a_mark_names_the_first(
    bench: GatedBench, kind: str
) -> None:
    payment_id = witnessed(bench, kind)
    assert switched_again(bench) != payment_id
    sent = bench.captures_sent()
    assert bench.complete().id == payment_id
    assert bench.captures_sent() == sent
    check_answered(bench, payment_id)


def test_second_payment_waits_for_what_the_mark_names(bench: GatedBench) -> None:
    payment_id = witnessed(bench)
    again = switched_again(bench)
    match = Match(method="GET", path=f"/v2/checkout/orders/{payment_id}")
    bench.paypal.faults.order(FaultOrder("lost_before", match, count=None))
    assert isinstance(bench.tried(), GatewayUnreachable)
    assert (bench.record().payment_intent_id, bench.status()) == (again, "requires_capture")
    bench.heal_paypal()
    assert bench.complete().id == payment_id
    assert bench.money_taken() == [payment_id]
