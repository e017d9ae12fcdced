"""An operator's actions on an order at a gated gateway: signed, and captured once."""

from __future__ import annotations

import pytest

from payment_service.payments.changes.details import details_of
from payment_service.payments.recovery.by_hand import ByHand
from payment_service.payments.request.existing_order import (
    CancelRequest,
    OrderRequest,
    RefundRequest,
    StatusRequest,
)
from tests.support.gated_bench import GatedBench

ANNA = "operator:anna"
ORDER = OrderRequest(order_id="A-1")


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


def signed(bench: GatedBench) -> list[str]:
    return [each["what"] for each in bench.record().follow_up.history if each.get("by") == ANNA]


def test_resolving_captures_what_is_approved_and_signs_it(bench: GatedBench) -> None:
    payment_id = bench.approved()
    ByHand(bench.orders, ANNA).resolve(ORDER)
    assert bench.money_taken() == [payment_id]
    assert signed(bench)[-1] == "captured"


def test_refreshing_captures_what_is_approved_and_signs_it(bench: GatedBench) -> None:
    payment_id = bench.approved()
    ByHand(bench.orders, ANNA).refresh(StatusRequest(order_id="A-1", refresh="true"))
    assert bench.money_taken() == [payment_id]
    assert signed(bench)[-1] == "captured"


def test_resolving_settles_a_capture_whose_answer_was_lost(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.break_captures("lost_after", count=None)
    bench.tried()
    bench.paypal.faults.clear()
    bench.now += 60
    ByHand(bench.orders, ANNA).resolve(ORDER)
    assert bench.money_taken() == [payment_id]
    assert bench.record().payment_status == "succeeded"
    assert signed(bench)


def canceled(bench: GatedBench) -> None:
    bench.given_out()
    bench.cancel()


def resolve(bench: GatedBench) -> None:
    ByHand(bench.orders, ANNA).resolve(ORDER)


@pytest.mark.parametrize("step", range(len(GatedBench.steps_of(resolve, canceled))))
def test_resolving_bears_an_order_that_goes_on_at_stripe_meanwhile(
    bench: GatedBench, step: int
) -> None:
    canceled(bench)
    with bench.meanwhile(step, bench.ask):
        resolve(bench)


def test_a_cancellation_is_signed(bench: GatedBench) -> None:
    bench.given_out()
    ByHand(bench.orders, ANNA).cancel(CancelRequest(order_id="A-1"))
    assert bench.record().payment_status == "canceled"
    assert signed(bench)


def test_a_refund_is_signed(bench: GatedBench) -> None:
    bench.approved()
    bench.complete()
    request = RefundRequest(order_id="A-1", refund_id="by-hand-1", amount=500)
    ByHand(bench.orders, ANNA).refund(request)
    assert bench.record().follow_up.refunded == 500
    assert signed(bench)


def test_only_what_the_gateway_can_do_is_offered(bench: GatedBench) -> None:
    bench.approved()
    gateway = bench.context.gated_of(bench.record())
    assert gateway
    shown = details_of(bench.record(), bench.now, gateway.facts)
    assert shown.actions == ("resolve", "cancel")
    bench.complete()
    shown = details_of(bench.record(), bench.now, gateway.facts)
    assert shown.actions == ("resolve", "refund")
