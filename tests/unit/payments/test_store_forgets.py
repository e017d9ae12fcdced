"""The store loses the record of an order, or rolls back to an older version."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.creation.resolve import is_unknown
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.settings import LOCK_MARGIN_SECONDS, SettingsError, load_settings
from sandbox.faults import FaultOrder, Match
from tests.support.flow_bench import FlowBench

CREATE = Match(method="POST", path="/v1/payment_intents$")
HOUR = 3600.0


def lose_record(bench: FlowBench) -> None:
    assert bench.records.forget(bench.record())


def go_back(bench: FlowBench, version: OrderRecord) -> None:
    lose_record(bench)
    assert bench.records.claim(version) is version


@pytest.fixture(params=[0.0, 60.0, HOUR], ids=lambda lag: f"search lags {lag:.0f} s")
def bench(request: pytest.FixtureRequest) -> FlowBench:
    bench = FlowBench(MemoryStore())
    bench.sandbox.rules = dataclasses.replace(bench.sandbox.rules, search_lag_seconds=request.param)
    return bench


@pytest.mark.parametrize("lost", ["lost_before", "lost_after", "error_503"])
def test_saved_500_after_a_lost_record_makes_no_second_intent(bench: FlowBench, lost: str) -> None:
    bench.sandbox.faults.order(FaultOrder("error_500_with_object", CREATE))
    first = bench.ask(amount=1099).intent.id
    lose_record(bench)
    bench.now += 60
    bench.sandbox.faults.order(FaultOrder(lost, CREATE))
    assert bench.ask(amount=1099).intent.id == first
    assert bench.payable() == [first]


def test_saved_500_met_by_the_next_owner_makes_no_second_intent(bench: FlowBench) -> None:
    bench.sandbox.faults.order(FaultOrder("error_500_with_object", CREATE))
    first = bench.ask(amount=1099).intent.id
    lose_record(bench)
    bench.now += 60
    bench.sandbox.faults.order(FaultOrder("lost_before", CREATE, count=3))
    with pytest.raises(PaymentError):
        bench.ask(amount=1099)
    bench.now += 60
    assert bench.ask(amount=1099).intent.id == first
    assert bench.payable() == [first]


def test_lost_record_with_new_params_makes_no_second_intent(bench: FlowBench) -> None:
    first = bench.ask(amount=1099).intent.id
    lose_record(bench)
    bench.now += 60
    bench.sandbox.faults.order(FaultOrder("unauthorized", CREATE))
    for amount in (10, 2000, 2000):
        try:
            bench.ask(amount=amount)
        except PaymentError:
            bench.now += 60
    assert len(bench.payable()) == 1
    assert bench.payable() == [first] or bench.record().payment_intent_id == bench.payable()[0]


def test_paid_intent_of_a_lost_record_keeps_its_price(bench: FlowBench) -> None:
    first = bench.ask(amount=1099).intent.id
    lose_record(bench)
    bench.now += 60
    bench.act(first, "confirm")
    paid = bench.ask(amount=2000).intent
    assert (paid.id, paid.status) == (first, "succeeded")
    # The request that created it gets an answer, too.
    assert bench.ask(amount=1099).intent.id == first


def test_one_request_skips_the_saved_500s_of_a_lost_record(bench: FlowBench) -> None:
    bench.break_creation("error_500_without_object")
    bench.break_creation("error_500_without_object", skip=1)
    with pytest.raises(PaymentError):
        bench.ask(amount=1099)
    assert bench.record().attempt == 2
    lose_record(bench)
    bench.now += 60
    made = bench.ask(amount=1099).intent.id
    assert bench.payable() == [made]


@pytest.mark.parametrize("end", ["payable", "paid"])
def test_record_rolled_back_a_day_ago_makes_no_second_intent(bench: FlowBench, end: str) -> None:
    canceled = bench.ask(amount=1099).intent.id
    before = bench.record()
    bench.act(canceled, "cancel")
    second = bench.ask(amount=1099).intent.id
    if end == "paid":
        bench.act(second, "confirm")
    go_back(bench, before)
    bench.now += 25 * HOUR
    assert bench.ask(amount=1099).intent.id == second
    assert bench.payable() == [second]


def test_chain_of_lost_attempts_is_found_while_the_search_lags(bench: FlowBench) -> None:
    first = bench.ask(amount=1099).intent.id
    before = bench.record()
    bench.act(first, "cancel")
    second = bench.ask(amount=1099).intent.id
    bench.now += 25 * HOUR
    bench.act(second, "cancel")
    third = bench.ask(amount=1099).intent.id
    go_back(bench, before)
    # Stripe has forgotten the key of the second one, and its search may not show the third yet.
    bench.now += 600
    assert bench.ask(amount=1099).intent.id == third
    assert bench.payable() == [third]


def test_rolled_back_unknown_record_finds_later_payment(bench: FlowBench) -> None:
    bench.break_creation("lost_before", count=3)
    with pytest.raises(PaymentError):
        bench.ask(amount=1099)
    before = bench.record()
    bench.now += 25 * HOUR
    made = bench.ask(amount=1099).intent.id
    go_back(bench, before)
    bench.now += 600
    assert bench.ask(amount=1099).intent.id == made
    assert bench.payable() == [made]


def test_note_on_a_rolled_back_record_keeps_its_age(bench: FlowBench) -> None:
    canceled = bench.ask(amount=1099).intent.id
    before = bench.record()
    bench.act(canceled, "cancel")
    second = bench.ask(amount=1099).intent.id
    go_back(bench, before)
    bench.now += 25 * HOUR
    noted = transitions.touched(bench.record(), bench.now, "seen")
    assert bench.records.replace(bench.record(), noted)
    assert bench.ask(amount=1099).intent.id == second


def test_restarted_attempt_keeps_the_age_of_the_lost_one(bench: FlowBench) -> None:
    canceled = bench.ask(amount=1099).intent.id
    before = bench.record()
    bench.act(canceled, "cancel")
    second = bench.ask(amount=1099).intent.id
    go_back(bench, before)
    bench.now += 22 * HOUR
    bench.sandbox.faults.order(FaultOrder("lost_before", CREATE, count=3))
    with pytest.raises(PaymentError):
        bench.ask(amount=1099)
    # Stripe forgets the key two hours later, one day after its first use.
    bench.now += 3 * HOUR
    assert bench.ask(amount=1099).intent.id == second
    assert bench.payable() == [second]


def test_old_canceled_order_gets_a_new_payment_intent(bench: FlowBench) -> None:
    canceled = bench.ask(amount=1099).intent.id
    bench.act(canceled, "cancel")
    bench.now += 100 * HOUR
    second = bench.ask(amount=1099).intent.id
    assert bench.payable() == [second] != [canceled]
    assert bench.ask(amount=1099).intent.id == second


def test_lock_that_ends_hours_ahead_counts_as_expired(bench: FlowBench) -> None:
    bench.sandbox.faults.order(FaultOrder("lost_before", CREATE, count=3))
    with pytest.raises(PaymentError):
        bench.ask(amount=1099)
    record = bench.record()
    ahead = replace(record, version=record.version + 1, owner="killed")
    ahead = replace(ahead, locked_until=bench.now + 3 * HOUR)
    assert bench.records.replace(record, ahead)
    assert is_unknown(ahead, bench.now)
    made = bench.ask(amount=1099).intent.id
    assert bench.payable() == [made]


def test_lock_of_the_longest_budget_is_not_seen_as_clock_skew() -> None:
    longest, environ = "120", {"STRIPE_SECRET_KEY": "sk_test_x"}
    settings = load_settings({**environ, "REQUEST_BUDGET_SECONDS": longest})
    assert settings.lock_seconds + LOCK_MARGIN_SECONDS <= transitions.LONGEST_LOCK_SECONDS
    with pytest.raises(SettingsError):
        load_settings({**environ, "REQUEST_BUDGET_SECONDS": "120.1"})
