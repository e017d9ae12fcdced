"""A late look finds and cancels what an order left at Stripe (rule 17)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, GatewayUnreachable, InFlight
from payment_service.gateways.deadline import Deadline
from payment_service.payments.record import gated_transitions
from payment_service.payments.record.history import TWO_PAID
from payment_service.payments.recovery.strays import settle_stray
from sandbox.faults import FaultOrder, Match
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.switch_bench import PAYPAL_ONLY, STRIPE_ONLY, TwoGateways

HOUR = 3600.0


@pytest.fixture
def bench() -> TwoGateways:
    return TwoGateways()


def left(bench: TwoGateways) -> str:
    """Have Stripe make a PaymentIntent whose answer is lost, and the order go on at PayPal."""
    bench.silence_stripe("lost_after")
    created = bench.ask()
    assert created.gateway == "paypal"
    bench.heal_stripe()
    (made,) = bench.payable()
    return made


def test_leftover_is_canceled_by_the_first_look(bench: TwoGateways) -> None:
    made = left(bench)
    bench.now += 15
    assert bench.look() == [True]
    assert bench.payable() == []
    (entry,) = bench.history("leftover canceled")
    assert entry["payment_intent_id"] == made
    assert "leftover_canceled" in bench.whats()
    assert bench.record().follow_up.ending == (made,)


def test_leftover_stands_until_a_look_after_an_hour(bench: TwoGateways) -> None:
    left(bench)
    bench.now += 130
    assert bench.look() == [True]
    assert bench.leftovers() == [("stripe", 1)]
    bench.look_at_all()
    assert bench.leftovers() == []
    assert bench.record().follow_up.look_ups == ()
    assert bench.now >= 1_800_000_000.0 + BUDGET_SECONDS + 10 + HOUR


def test_object_that_appears_within_the_hour_is_canceled(bench: TwoGateways) -> None:
    bench.sandbox.faults.order(
        FaultOrder("late_object", Match(method="POST"), count=None, seconds=3000)
    )
    assert bench.ask().gateway == "paypal"
    bench.heal_stripe()
    bench.now += 130
    bench.look()
    assert bench.payable() == []
    bench.now += 3000
    bench.sandbox.settle()
    assert bench.payable()
    bench.look_at_all()
    assert bench.payable() == []


def test_look_without_an_answer_keeps_the_leftover(bench: TwoGateways) -> None:
    left(bench)
    bench.silence_stripe()
    bench.now += 2 * HOUR
    for _ in range(4):
        assert bench.look() == [False]
        bench.now += 40
    bench.heal_stripe()
    bench.look_at_all()
    assert (bench.payable(), bench.leftovers()) == ([], [])


def test_leftover_is_canceled_while_paypal_is_unknown(bench: TwoGateways) -> None:
    """The client may never ask again. A pending attempt at PayPal has nothing at Stripe."""
    bench.silence_stripe("lost_after")
    bench.break_paypal("lost_before")
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.heal_stripe()
    bench.now += 20
    assert bench.look() == [True]
    assert bench.payable() == []


def test_recorded_paypal_payment_is_not_asked_for_at_stripe(bench: TwoGateways) -> None:
    """Its id is unknown there, which says nothing about it (rule 13)."""
    left(bench)
    at_paypal = bench.record().payment_intent_id
    bench.look_at_all()
    assert bench.record().payment_intent_id == at_paypal
    assert not [line for line in bench.sandbox.log.entries if at_paypal in line.path]


def test_order_that_returns_to_stripe_adopts_its_leftover(bench: TwoGateways) -> None:
    """Rule 3: a look-up comes first, because the record may have been rolled back."""
    bench.silence_stripe("lost_after")
    bench.break_paypal("lost_before")
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.heal_stripe()
    (made,) = bench.payable()
    created = bench.ask()
    assert (created.gateway, created.intent.id) == ("stripe", made)
    bench.look_at_all()
    assert bench.payable() == [made]


def test_order_that_returns_to_stripe_adopts_no_ending_leftover(bench: TwoGateways) -> None:
    bench.silence_stripe("lost_after")
    bench.break_paypal("lost_before")
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.heal_stripe()
    (made,) = bench.payable()
    bench.sandbox.faults.order(FaultOrder("lost_before", Match(method="POST"), count=3))
    bench.now += 20
    assert bench.look() == [False]
    assert bench.record().follow_up.ending == (made,)
    created = bench.ask()
    assert created.intent.id != made
    assert bench.payable() == [created.intent.id]


def test_rolled_back_store_finds_what_it_had_given_out(bench: TwoGateways) -> None:
    """The store lost the record of a given-out payment; then the order began at PayPal."""
    given_out = bench.ask().intent.id
    assert bench.records.forget(bench.record())
    bench.open_circuit()
    assert bench.ask().gateway == "paypal"
    record = bench.record()
    assert bench.records.replace(record, gated_transitions.canceled(record, bench.now))
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))
    assert created.intent.id == given_out
    assert bench.payable() == [given_out]


# Paid leftovers.


def test_paid_leftover_replaces_a_payment_that_is_not_captured(bench: TwoGateways) -> None:
    made = left(bench)
    bench.approve(bench.record().payment_intent_id)
    bench.act(made, "confirm")
    bench.now += 20
    bench.look()
    record = bench.record()
    assert (record.payment_intent_id, record.payment_status) == (made, "succeeded")
    assert record.sent.gateway == "stripe"
    assert record.follow_up.approval_look is None
    assert "stray_paid" in bench.whats()
    created = bench.ask()
    assert (created.gateway, created.intent.status) == ("stripe", "succeeded")
    assert bench.captured() == []


def test_paid_leftover_of_an_unknown_attempt_is_adopted(bench: TwoGateways) -> None:
    bench.silence_stripe("lost_after")
    bench.break_paypal("lost_before")
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.heal_stripe()
    (made,) = bench.payable()
    bench.act(made, "confirm")
    bench.now += 20
    bench.look()
    assert (bench.record().state, bench.record().payment_intent_id) == ("created", made)


def test_paid_leftover_waits_for_a_claimed_capture(bench: TwoGateways) -> None:
    made = left(bench)
    record = bench.record()
    claimed = gated_transitions.claimed(record, bench.now, bench.now + 10)
    assert bench.records.replace(record, claimed)
    bench.act(made, "confirm")
    bench.now += 20
    assert bench.look() == [False]
    assert bench.record().payment_intent_id == record.payment_intent_id
    assert bench.leftovers() == [("stripe", 1)]


def test_paid_leftover_beside_a_captured_payment_is_an_alarm(bench: TwoGateways) -> None:
    made = left(bench)
    bench.silence_stripe()
    bench.approve(bench.record().payment_intent_id)
    assert bench.ask().intent.status == "succeeded"
    bench.heal_stripe()
    bench.act(made, "confirm")
    bench.now += 20
    assert bench.look() == [True]
    assert "two_taken" in bench.whats()
    assert bench.record().sent.gateway == "paypal"


def test_capture_that_the_store_lost_is_seen_before_an_adoption(bench: TwoGateways) -> None:
    made = left(bench)
    before = bench.record()
    bench.silence_stripe()
    bench.approve(before.payment_intent_id)
    assert bench.ask().intent.status == "succeeded"
    after = bench.record()
    assert bench.records.replace(after, replace(before, version=after.version + 1))
    bench.heal_stripe()
    bench.act(made, "confirm")
    bench.now += 20
    bench.look()
    assert "two_taken" in bench.whats()


def test_paid_leftover_of_an_order_paid_before_is_an_alarm(bench: TwoGateways) -> None:
    made = left(bench)
    record = bench.record()
    marked = gated_transitions.paid_before(record, bench.now, "DUPLICATE_INVOICE_ID")
    assert bench.records.replace(record, marked)
    bench.act(made, "confirm")
    bench.now += 20
    bench.look()
    assert "two_taken" in bench.whats()


def test_adoption_waits_while_paypal_does_not_answer(bench: TwoGateways) -> None:
    made = left(bench)
    bench.act(made, "confirm")
    bench.paypal.faults.order(FaultOrder("lost_before", Match(), count=None))
    stray = bench.context.gateway.retrieve(made, Deadline.after(25, lambda: bench.now))
    deadline = Deadline.after(25, lambda: bench.now)
    with pytest.raises(GatewayUnreachable):
        settle_stray(bench.context, bench.record(), stray, deadline)
    assert bench.record().sent.gateway == "paypal"


def test_stray_beside_a_claim_is_in_flight(bench: TwoGateways) -> None:
    made = left(bench)
    record = bench.record()
    claimed = gated_transitions.claimed(record, bench.now, bench.now + 10)
    assert bench.records.replace(record, claimed)
    bench.act(made, "confirm")
    deadline = Deadline.after(25, lambda: bench.now)
    stray = bench.context.gateway.retrieve(made, deadline)
    with pytest.raises(InFlight):
        settle_stray(bench.context, bench.record(), stray, deadline)
    assert TWO_PAID not in bench.whats()


# Orders that go on after a switch.


def test_later_attempt_at_paypal_keeps_the_leftover(bench: TwoGateways) -> None:
    left(bench)
    bench.now += 7 * HOUR
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=PAYPAL_ONLY))
    assert created.gateway == "paypal"
    assert bench.leftovers() == [("stripe", 1)]
    bench.look_at_all()
    assert (bench.payable(), bench.leftovers()) == ([], [])


def test_look_ups_of_an_abandoned_attempt_go_on_after_a_switch(bench: TwoGateways) -> None:
    """A 500's object may appear late, and the order went to PayPal in the meantime."""
    bench.sandbox.faults.order(
        FaultOrder("late_object", Match(method="POST"), count=1, seconds=600, should_retry=False)
    )
    first = bench.ask()
    assert (first.gateway, bench.record().attempt) == ("stripe", 2)
    bench.act(first.intent.id, "cancel")
    bench.open_circuit()
    assert bench.ask().gateway == "paypal"
    assert bench.leftovers() == [("stripe", 2)]
    bench.now += 700
    bench.sandbox.settle()
    assert bench.payable()
    bench.look_at_all()
    assert bench.payable() == []
