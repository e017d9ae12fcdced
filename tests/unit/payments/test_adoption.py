"""A look-up gives no request a PaymentIntent with another capture method."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from payment_service.errors import GatewayFailed, OrderReused
from payment_service.payments.record.transitions import LOST_FINGERPRINT
from tests.support.flow_bench import FlowBench

MANUAL: dict[str, Any] = {"capture_method": "manual"}


@pytest.fixture
def bench() -> FlowBench:
    return FlowBench()


def lose(bench: FlowBench) -> None:
    assert bench.records.forget(bench.record())


@pytest.mark.parametrize(("first", "then"), [({}, MANUAL), (MANUAL, {})])
def test_lost_record_gives_no_request_another_capture_method(
    bench: FlowBench, first: dict[str, Any], then: dict[str, Any]
) -> None:
    """Stripe says that the order's key has other parameters."""
    former = bench.ask(**first).intent.id
    lose(bench)
    with pytest.raises(OrderReused):
        bench.ask(**then)
    assert bench.ask(**first).intent.id == former
    assert bench.payable() == [former]


@pytest.mark.parametrize(("first", "then"), [({}, MANUAL), (MANUAL, {})])
def test_late_intent_with_another_capture_method_is_canceled(
    bench: FlowBench, first: dict[str, Any], then: dict[str, Any]
) -> None:
    """The object of the first request's 500 appears while the second request is at work."""
    bench.break_creation("late_object", count=1, seconds=20)
    bench.break_creation("error_500_without_object", count=2)
    with pytest.raises(GatewayFailed):
        bench.ask(**first)
    assert bench.payable() == []
    bench.break_creation("error_500_without_object", count=2)
    answers = count(1)

    def appears() -> None:
        # After the answers to the old key and to a look-up: this is the answer to a new key.
        bench.now += 20 if next(answers) == 4 else 0

    bench.on_answer = appears
    with pytest.raises(GatewayFailed):
        bench.ask(**then)
    assert (len(bench.made()), bench.payable()) == (1, [])
    now = bench.ask(**then).intent
    assert now.manual_capture == (then == MANUAL)
    assert bench.payable() == [now.id]


def test_paid_intent_with_another_capture_method_is_adopted_as_anothers(bench: FlowBench) -> None:
    former = bench.ask().intent.id
    bench.act(former, "confirm")
    lose(bench)
    assert bench.ask(**MANUAL).intent.id == former
    assert bench.record().fingerprint == LOST_FINGERPRINT


@pytest.mark.parametrize("params", [{}, MANUAL])
def test_lost_record_of_the_same_request_keeps_its_intent(
    bench: FlowBench, params: dict[str, Any]
) -> None:
    former = bench.ask(**params).intent.id
    lose(bench)
    assert bench.ask(**params).intent.id == former
    assert bench.record().fingerprint != LOST_FINGERPRINT
