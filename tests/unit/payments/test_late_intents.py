"""A late look cancels a PaymentIntent that a 500 created after its order had moved on."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from payment_service.key_store.contract import Order
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import LATE_LOOK_UPS_AFTER_SECONDS
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.settings import load_settings
from payment_service.wiring import open_payments
from sandbox.faults import FaultOrder, Match
from tests.support.flow_bench import CREATE, FlowBench
from tests.support.sandbox_in_process import INTENTS


@pytest.fixture
def bench() -> FlowBench:
    return FlowBench()


def look_ups(bench: FlowBench) -> LateLookUps:
    return LateLookUps(bench.context, lambda _: bench.context, 25.0)


def waiting(bench: FlowBench) -> list[OrderRecord]:
    return look_ups(bench).due(10)


def late_object(bench: FlowBench, seconds: float) -> str:
    """Create an order that moves on after a 500 with a late object; return its PaymentIntent."""
    bench.break_creation("late_object", seconds=seconds)
    return bench.ask().intent.id


def test_order_without_failures_needs_no_late_look(bench: FlowBench) -> None:
    bench.ask()
    assert bench.record().due_at is None


def test_late_object_is_canceled_and_the_recorded_one_kept(bench: FlowBench) -> None:
    own = late_object(bench, seconds=10.0)
    bench.now += LATE_LOOK_UPS_AFTER_SECONDS[0]
    assert len(bench.payable()) == 1
    bench.sandbox.settle()
    assert len(bench.payable()) == 2
    assert look_ups(bench).run(*waiting(bench))
    assert bench.payable() == [own]
    assert bench.ask().intent.id == own


def test_late_looks_end_after_three(bench: FlowBench) -> None:
    late_object(bench, seconds=10_000.0)
    for _ in LATE_LOOK_UPS_AFTER_SECONDS:
        bench.now += 4000
        assert look_ups(bench).run(*waiting(bench))
    assert bench.record().due_at is None
    bench.now += 400_000
    assert waiting(bench) == []


def test_late_look_is_not_due_early(bench: FlowBench) -> None:
    late_object(bench, seconds=10.0)
    assert waiting(bench) == []


def test_late_look_without_an_answer_is_retried_later(bench: FlowBench) -> None:
    own = late_object(bench, seconds=10.0)
    bench.now += LATE_LOOK_UPS_AFTER_SECONDS[0]
    bench.sandbox.faults.order(FaultOrder("error_503", Match(method="GET"), count=None))
    assert not look_ups(bench).run(*waiting(bench))
    bench.sandbox.faults.clear()
    assert waiting(bench) == []
    bench.now += 120
    assert look_ups(bench).run(*waiting(bench))
    assert bench.payable() == [own]


def test_late_look_in_another_account_is_left_to_its_service(bench: FlowBench) -> None:
    """In live mode, the number of a test order names the live order's own PaymentIntent."""
    own = late_object(bench, seconds=10.0)
    bench.sandbox.settle()
    bench.now += LATE_LOOK_UPS_AFTER_SECONDS[0]
    theirs, bench.context = bench.context, replace(bench.context, serves=lambda _: False)
    assert waiting(bench) == []
    bench.context = theirs
    assert look_ups(bench).run(*waiting(bench))
    assert bench.payable() == [own]


def test_service_serves_the_orders_of_its_mode_and_clients() -> None:
    settings = load_settings({"STRIPE_SECRET_KEY": "sk_test_shop"})
    listed = open_payments(settings, listed={"shop-a"}).orders.context.serves
    assert listed(Order(livemode=False, client_id="shop-a", order_id="A-1"))
    assert listed(Order(livemode=False, client_id=None, order_id="A-1"))
    assert not listed(Order(livemode=False, client_id="shop-b", order_id="A-1"))
    assert not listed(Order(livemode=True, client_id="shop-a", order_id="A-1"))
    anybody = open_payments(settings).orders.context.serves
    assert anybody(Order(livemode=False, client_id="shop-b", order_id="A-1"))
    assert not anybody(Order(livemode=True, client_id="shop-b", order_id="A-1"))


def test_concurrent_late_looks_run_once(bench: FlowBench) -> None:
    late_object(bench, seconds=10.0)
    bench.now += LATE_LOOK_UPS_AFTER_SECONDS[0]
    (record,) = waiting(bench)
    assert look_ups(bench).run(record)
    assert not look_ups(bench).run(record)


def test_late_look_leaves_an_order_in_flight_alone(bench: FlowBench) -> None:
    own = late_object(bench, seconds=10.0)
    headers = {"authorization": "Bearer sk_test_shop"}
    bench.sandbox.handle("POST", f"{INTENTS}/{own}/cancel", headers, b"")
    bench.now += LATE_LOOK_UPS_AFTER_SECONDS[0]
    bench.sandbox.faults.order(FaultOrder("lost_before", CREATE, count=3))
    before = bench.record()

    def look_in_between(_: float) -> None:
        held = bench.record()
        assert held.state == "pending"
        assert not look_ups(bench).run(held)
        assert bench.record().version == held.version

    bench.on_sleep = look_in_between
    with pytest.raises(Exception, match="Stripe did not answer"):
        bench.ask()
    assert before.follow_up.look_ups


def test_payment_intent_of_a_concurrent_attempt_is_no_stray(bench: FlowBench) -> None:
    own = late_object(bench, seconds=10_000.0)
    bench.now += LATE_LOOK_UPS_AFTER_SECONDS[0]
    (record,) = waiting(bench)
    find = bench.context.gateway.find

    def canceled_and_asked_again(*given: object) -> object:
        headers = {"authorization": "Bearer sk_test_shop"}
        bench.sandbox.handle("POST", f"{INTENTS}/{own}/cancel", headers, b"")
        bench.ask()
        return find(*given)  # type: ignore[arg-type]

    bench.context.gateway.find = canceled_and_asked_again  # type: ignore[method-assign,assignment]
    assert not look_ups(bench).run(record)
    bench.context.gateway.find = find  # type: ignore[method-assign]
    assert len(bench.payable()) == 1
