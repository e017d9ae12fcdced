"""Each rule of the creation, on the real flow, the real gateway and the sandbox's core."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from payment_service.errors import (
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    Misconfigured,
    OrderReused,
    RateLimited,
    Refused,
)
from payment_service.gateways.deadline import Deadline
from payment_service.payments.creation.create import create_once
from sandbox.faults import FaultOrder, Match
from sandbox.moment import Rules
from tests.support.flow_bench import FlowBench
from tests.support.sandbox_in_process import INTENTS

DAY = 24 * 3600.0


@pytest.fixture
def bench() -> FlowBench:
    return FlowBench()


def test_new_order_takes_one_send(bench: FlowBench) -> None:
    created = bench.ask()
    assert (created.replayed, created.intent.status) == (False, "requires_payment_method")
    assert sum(bench.sandbox.log.shown_counts().values()) == 1
    assert bench.record().payment_intent_id == created.intent.id


def test_slow_lookup_is_not_repeated_by_the_next_request(
    bench: FlowBench,
) -> None:
    """Without that, a look-up that uses up one request's time would use up every later one's."""
    bench.break_creation("error_500_without_object", should_retry=False)
    bench.send_seconds = 10.6
    with pytest.raises(GatewayFailed):
        bench.ask()
    assert "put_off" in bench.whats()
    created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert bench.record().attempt == 2


def test_repeated_order_is_retrieved(bench: FlowBench) -> None:
    first, second = bench.ask(), bench.ask()
    assert (second.intent.id, second.replayed) == (first.intent.id, True)
    assert bench.sends() == 1


def test_other_parameters_are_rejected_without_a_send(bench: FlowBench) -> None:
    first = bench.ask()
    before = sum(bench.sandbox.log.shown_counts().values())
    with pytest.raises(OrderReused):
        bench.ask(amount=2000)
    assert sum(bench.sandbox.log.shown_counts().values()) == before
    assert bench.ask().intent.id == first.intent.id


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "cut_body", "html", "empty_object"])
def test_lost_answer_is_retried_with_the_same_key(bench: FlowBench, kind: str) -> None:
    bench.break_creation(kind)
    created = bench.ask()
    assert bench.payable() == [created.intent.id]


@pytest.mark.parametrize("kind", ["lost_after", "lost_before", "error_503"])
def test_next_request_resolves_an_unknown_order(bench: FlowBench, kind: str) -> None:
    bench.break_creation(kind, count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    assert bench.record().state == "pending"
    assert bench.sends() <= 3
    created = bench.ask()
    assert bench.payable() == [created.intent.id]


@pytest.mark.parametrize("should_retry", [None, False])
@pytest.mark.parametrize("kind", ["error_500_with_object", "error_500_without_object"])
def test_creation_succeeds_after_a_saved_500(
    bench: FlowBench, kind: str, should_retry: bool | None
) -> None:
    bench.break_creation(kind, should_retry=should_retry)
    created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert len(bench.made()) == 1


@pytest.mark.parametrize("should_retry", [None, False])
def test_persistent_500s_are_reported_and_block_no_request(
    bench: FlowBench, should_retry: bool | None
) -> None:
    """A request tries at most two keys: each 500 may leave an object that appears later."""
    bench.break_creation("error_500_without_object", count=None, should_retry=should_retry)
    for attempts in (2, 4, 6):
        with pytest.raises(GatewayFailed):
            bench.ask()
        assert bench.record().attempt == attempts
    bench.sandbox.faults.clear()
    asked_at = bench.now
    created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert bench.now - asked_at < 5


@pytest.mark.parametrize("seconds", [4.0, 6.0, 8.0, 9.0, 10.0, 12.0])
def test_order_is_unlocked_when_its_request_times_out(bench: FlowBench, seconds: float) -> None:
    bench.break_creation("error_500_without_object", count=None)
    with pytest.raises(GatewayFailed):
        bench.ask_within(seconds)
    bench.sandbox.faults.clear()
    created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert "waited" not in bench.whats()


def test_object_that_appears_just_after_its_500_is_found(bench: FlowBench) -> None:
    bench.break_creation("late_object", seconds=2.5)
    created = bench.ask()
    assert [each["id"] for each in bench.made()] == [created.intent.id]


def test_short_budget_moves_the_second_look_earlier(bench: FlowBench) -> None:
    bench.break_creation("late_object", seconds=0.6, should_retry=False)
    created = bench.ask_within(4.0)
    assert [each["id"] for each in bench.made()] == [created.intent.id]


def test_late_object_of_a_saved_500_is_never_returned(bench: FlowBench) -> None:
    bench.break_creation("late_object", seconds=60.0)
    first = bench.ask()
    bench.now += 3600
    assert bench.ask().intent.id == first.intent.id


@pytest.mark.parametrize("kind", ["lost_after", "error_500_with_object"])
@pytest.mark.parametrize("age", [25 * 3600.0, 200 * DAY])
def test_unknown_order_with_an_old_key_is_looked_up(
    bench: FlowBench, kind: str, age: float
) -> None:
    bench.break_creation(kind, count=3)
    bench.sandbox.faults.order(FaultOrder("error_503", Match(method="GET"), count=None))
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.sandbox.faults.clear()
    made = bench.payable()
    bench.now += age
    created = bench.ask()
    assert [created.intent.id] == made == bench.payable()


def test_old_key_without_an_object_starts_the_next_attempt(bench: FlowBench) -> None:
    bench.break_creation("lost_before", count=3)
    with pytest.raises(GatewayUnreachable):
        bench.ask()
    bench.now += 25 * 3600
    created = bench.ask()
    assert (bench.payable(), bench.record().attempt) == ([created.intent.id], 2)


def test_corrected_parameters_pass_after_a_rejection(bench: FlowBench) -> None:
    with pytest.raises(Refused) as raised:
        bench.ask(amount=10)
    assert raised.value.code == "amount_too_small"
    assert bench.ask(amount=1099).intent.amount == 1099
    assert bench.record().attempt == 2


def test_rejection_lost_by_the_store_is_skipped(bench: FlowBench) -> None:
    with pytest.raises(Refused):
        bench.ask(customer="cus_missing")
    bench.store.forget(bench.record())
    with pytest.raises(Refused):
        bench.ask(customer="cus_missing")
    assert bench.record().attempt == 2


def test_stripe_replays_a_lost_record_within_a_day(bench: FlowBench) -> None:
    first = bench.ask()
    bench.store.forget(bench.record())
    again = bench.ask()
    assert (again.intent.id, again.replayed) == (first.intent.id, True)


def test_lost_record_of_a_paid_order_returns_succeeded(bench: FlowBench) -> None:
    first = bench.ask()
    _pay(bench, first.intent.id)
    bench.store.forget(bench.record())
    assert bench.ask().intent.status == "succeeded"


def test_lost_record_with_other_parameters_is_rejected(bench: FlowBench) -> None:
    first = bench.ask()
    bench.store.forget(bench.record())
    with pytest.raises(OrderReused):
        bench.ask(amount=2000)
    assert bench.ask().intent.id == first.intent.id


def test_canceled_payment_intent_is_replaced_at_any_age(bench: FlowBench) -> None:
    first = bench.ask()
    _cancel(bench, first.intent.id)
    second = bench.ask()
    assert (second.intent.id != first.intent.id, second.replayed) == (True, False)
    bench.now += 300 * DAY
    assert bench.ask().intent.id == second.intent.id


def test_paid_payment_intent_is_never_replaced(bench: FlowBench) -> None:
    first = bench.ask()
    _pay(bench, first.intent.id)
    bench.now += 300 * DAY
    again = bench.ask()
    assert (again.intent.id, again.intent.status) == (first.intent.id, "succeeded")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unauthorized", Misconfigured),
        ("forbidden", Misconfigured),
        ("rate_limited", RateLimited),
        ("lock_timeout", RateLimited),
        ("key_in_use", InFlight),
    ],
)
def test_indefinite_answer_is_never_final(
    bench: FlowBench, kind: str, error: type[Exception]
) -> None:
    bench.break_creation(kind, count=3)
    with pytest.raises(error):
        bench.ask()
    bench.sandbox.faults.clear()
    assert bench.record().state == "pending"
    assert bench.ask().intent.id == bench.payable()[0]


def test_deploy_that_adds_a_field_resends_the_stored_params(bench: FlowBench) -> None:
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayUnreachable):
        bench.ask()
    # The same request, but the new version of the service sends one more parameter.
    deployed = bench.wanted(statement_descriptor_suffix="SHOP")
    same_request = replace(deployed, fingerprint=bench.wanted().fingerprint)
    created = create_once(bench.context, same_request, Deadline.after(25, lambda: bench.now))
    assert bench.payable() == [created.intent.id]


def test_amount_changed_elsewhere_is_not_served_for_the_old_one(
    bench: FlowBench,
) -> None:
    first = bench.ask()
    headers = {"authorization": "Bearer sk_test_shop"}
    bench.sandbox.handle("POST", f"{INTENTS}/{first.intent.id}", headers, b"amount=2000")
    with pytest.raises(OrderReused):
        bench.ask()
    bench.store.forget(bench.record())
    with pytest.raises(OrderReused):
        bench.ask()
    _pay(bench, first.intent.id)
    assert bench.ask().intent.status == "succeeded"


def test_corrected_parameters_pass_after_a_lost_rejection(
    bench: FlowBench,
) -> None:
    with pytest.raises(Refused):
        bench.ask(amount=10)
    bench.store.forget(bench.record())
    with pytest.raises(InFlight):
        bench.ask()
    bench.now += bench.context.timing.lock
    created = bench.ask()
    assert bench.payable() == [created.intent.id]


def _pay(bench: FlowBench, intent_id: str) -> None:
    body = b"payment_method=pm_card_visa&return_url=https://shop.example"
    headers = {"authorization": "Bearer sk_test_shop"}
    answer = bench.sandbox.handle("POST", f"{INTENTS}/{intent_id}/confirm", headers, body)
    assert answer.json()["status"] == "succeeded"


def _cancel(bench: FlowBench, intent_id: str) -> None:
    headers = {"authorization": "Bearer sk_test_shop"}
    answer = bench.sandbox.handle("POST", f"{INTENTS}/{intent_id}/cancel", headers, b"")
    assert answer.json()["status"] == "canceled"


@pytest.mark.parametrize("ahead", [-1800.0, -120.0, 120.0, 1800.0])
def test_object_of_a_saved_500_is_found_whatever_stripes_clock_says(
    bench: FlowBench, ahead: float
) -> None:
    bench.stripe_ahead = ahead
    bench.sandbox.rules = Rules(search_lag_seconds=3600.0)
    bench.break_creation("error_500_with_object", should_retry=False)
    created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert (len(bench.made()), bench.record().attempt) == (1, 1)


@pytest.mark.parametrize("ahead", [-1800.0, -120.0, 120.0, 1800.0])
def test_next_process_finds_it_too(bench: FlowBench, ahead: float) -> None:
    """It has heard no answer of Stripe before its look-up."""
    bench.stripe_ahead = ahead
    bench.sandbox.rules = Rules(search_lag_seconds=3600.0)
    bench.break_creation("error_500_with_object", should_retry=False)
    bench.sandbox.faults.order(FaultOrder("error_503", Match(method="GET"), count=None))
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.sandbox.faults.clear()
    bench.now += 60
    deadline = Deadline.after(25.0, lambda: bench.now)
    created = create_once(bench.another(), bench.wanted(), deadline)
    assert bench.payable() == [created.intent.id]
    assert len(bench.made()) == 1
