"""A canceled order can no longer be paid, and can be created again."""

from __future__ import annotations

from functools import partial

import pytest

from payment_service.errors import GatewayFailed, NoLongerOpen, NotFound
from payment_service.payments.request.existing_order import OrderRequest
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench
from tests.support.sandbox_in_process import INTENTS


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


def test_canceled_order_can_be_recreated_as_a_new_attempt(bench: AfterBench) -> None:
    first = bench.ask().intent.id
    assert bench.cancel().status == "canceled"
    second = bench.ask(amount=2000).intent.id
    assert bench.payable() == [second] != [first]
    assert bench.record().attempt == 2


def test_cancellation_can_be_repeated(bench: AfterBench) -> None:
    first = bench.ask().intent.id
    bench.cancel()
    sends, record = bench.sends("POST"), bench.record()
    assert bench.cancel().id == first
    assert (bench.sends("POST"), bench.record()) == (sends, record)
    bench.deliver()
    assert bench.shop.types() == ["order.canceled"]


def test_paid_order_is_not_canceled(bench: AfterBench) -> None:
    bench.pay(bench.ask().intent.id)
    with pytest.raises(NoLongerOpen) as raised:
        bench.cancel()
    assert raised.value.code == "payment_succeeded"
    assert len(bench.payable()) == 1


def test_order_paid_during_the_cancellation_is_not_canceled(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    with bench.meanwhile(4, lambda: bench.pay(intent_id)), pytest.raises(NoLongerOpen):
        bench.cancel()


def test_order_that_was_never_created_is_not_found(bench: AfterBench) -> None:
    with pytest.raises(NotFound):
        bench.cancel()


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_503"])
def test_next_request_resolves_a_lost_answer(bench: AfterBench, kind: str) -> None:
    bench.ask()
    path = Match(method="POST", path="/v1/payment_intents/")
    bench.sandbox.faults.order(FaultOrder(kind, path, count=3))
    with pytest.raises(GatewayFailed):
        bench.cancel()
    assert bench.cancel().status == "canceled"
    assert bench.payable() == []


def test_unknown_order_is_resolved_and_canceled(bench: AfterBench) -> None:
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    assert bench.cancel().status == "canceled"
    assert bench.payable() == []


def test_next_request_repairs_a_crash_at_any_step(bench: AfterBench) -> None:
    step, crashed = 0, True
    while crashed:
        order_id = f"C-{step}"
        bench.ask(order_id)
        crashed = bench.crashing(step, partial(bench.cancel, order_id))
        bench.now += 60
        assert bench.cancel(order_id).status == "canceled"
        again = bench.ask(order_id).intent.id
        assert bench.payable(order_id) == [again]
        step += 1
    assert step > 5


def cancellation_lost(bench: AfterBench) -> str:
    """Let Stripe's answer to the order's first cancellation be lost."""
    first = bench.ask().intent.id
    bench.sandbox.faults.order(FaultOrder("lost_after", Match("POST", f"{INTENTS}/{first}/cancel")))
    return first


@pytest.mark.parametrize(
    "step", range(len(AfterBench.steps_of(AfterBench.cancel, cancellation_lost)))
)
def test_order_recreated_meanwhile_is_not_canceled_twice(bench: AfterBench, step: int) -> None:
    first = cancellation_lost(bench)
    given: list[str] = []
    with bench.meanwhile(step, lambda: given.append(bench.ask().intent.id)):
        assert bench.cancel().id == first
    assert bench.payable() == [each for each in given if each != first]


def test_status_has_the_history_and_no_secret(bench: AfterBench) -> None:
    created = bench.ask()
    bench.update(1500)
    bench.pay(created.intent.id)
    bench.apply_all()
    status = bench.orders.status(OrderRequest(order_id="A-1"))
    assert (status.status, status.paid, status.amount, status.currency) == (
        "succeeded",
        True,
        1500,
        "usd",
    )
    assert (status.attempt, status.revision, status.waiting) == (1, 1, 1)
    whats = [each["what"] for each in status.history]
    assert whats == ["claimed", "created", "update sent", "updated", "webhook"]
    assert created.intent.client_secret not in repr(status)


def test_status_of_a_new_attempt_has_its_own_amount(bench: AfterBench) -> None:
    bench.ask()
    bench.update(1500)
    bench.cancel()
    bench.ask(amount=2000)
    status = bench.orders.status(OrderRequest(order_id="A-1"))
    assert (status.amount, status.attempt, status.revision) == (2000, 2, 1)


def test_status_without_a_payment_intent_says_so(bench: AfterBench) -> None:
    request = OrderRequest(order_id="A-1")
    with pytest.raises(NotFound):
        bench.orders.status(request)
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    assert bench.orders.status(request).status == "unknown"


def test_refreshed_status_comes_from_stripe(bench: AfterBench) -> None:
    request = OrderRequest(order_id="A-1")
    bench.pay(bench.ask().intent.id)
    assert bench.orders.status(request).status == "requires_payment_method"
    assert bench.orders.status(request, refresh=True).status == "succeeded"
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]
