"""Before a capture the open gateways are asked what they have of the order (rule 19)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from payment_service.errors import GatewayUnreachable
from sandbox.faults import FaultOrder, Match
from tests.support.gated_bench import HOUR, GatedBench


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


def switched(bench: GatedBench) -> str:
    """Pass the order over while Stripe makes its PaymentIntent unheard; approve at PayPal."""
    bench.silence_stripe("lost_after")
    created = bench.ask_in(bench.context)
    assert created.gateway == "paypal"
    bench.heal_stripe()
    bench.approve_as(created.intent.id)
    return created.intent.id


def test_leftover_is_canceled_before_the_capture(bench: GatedBench) -> None:
    payment_id = switched(bench)
    [leftover] = bench.payable()
    assert bench.complete().status == "succeeded"
    assert bench.payable() == []
    assert bench.money_taken() == [payment_id]
    assert leftover in bench.record().follow_up.ending
    assert "stray_canceled" in bench.whats()


def test_payment_taken_elsewhere_is_adopted_instead(bench: GatedBench) -> None:
    switched(bench)
    [leftover] = bench.payable()
    bench.act(leftover, "confirm")
    found = bench.complete()
    assert (found.id, found.status) == (leftover, "succeeded")
    record = bench.record()
    assert (record.payment_intent_id, record.sent.gateway) == (leftover, "stripe")
    assert (record.payment_status, record.follow_up.approval_look) == ("succeeded", None)
    assert (bench.captures_sent(), bench.money_taken()) == (0, [leftover])
    assert bench.deliver_all() == ["order.paid"]
    assert bench.shop.bodies[0]["data"]["object"]["gateway"] == "stripe"
    assert "stray_paid" in bench.whats()


def test_payment_that_is_paid_while_it_is_canceled_is_adopted(bench: GatedBench) -> None:
    switched(bench)
    [leftover] = bench.payable()
    steps = GatedBench.steps_of(GatedBench.complete, switched)
    cancellation = [at for at, name in enumerate(steps) if name == "send"][1]
    with bench.meanwhile(cancellation, lambda: bench.act(leftover, "confirm")):
        assert bench.complete().id == leftover
    assert (bench.captures_sent(), bench.money_taken()) == (0, [leftover])


def test_two_payments_taken_elsewhere_raise_the_alarm(bench: GatedBench) -> None:
    switched(bench)
    [leftover] = bench.payable()
    bench.act(leftover, "confirm")
    bench.now += 1
    other = bench.stray("A-1")
    bench.act(other, "confirm")
    assert bench.complete().id == other
    assert "two_taken" in bench.whats()
    assert bench.captures_sent() == 0


def test_capture_waits_for_the_first_gateway_where_the_store_forgets() -> None:
    bench = GatedBench(capture_waits=True)
    payment_id = switched(bench)
    bench.silence_stripe()
    assert isinstance(bench.tried(), GatewayUnreachable)
    assert (bench.status(), bench.captures_sent()) == ("requires_capture", 0)
    assert bench.record().follow_up.approval_look == pytest.approx(bench.now + 60, abs=10)
    for _ in range(4):
        bench.now += 61
        assert bench.look_for_approvals() == [False]
    bench.heal_stripe()
    bench.now += 61
    assert bench.look_for_approvals() == [True]
    assert bench.money_taken() == [payment_id]
    assert bench.payable() == []


def test_capture_goes_on_where_the_store_keeps_what_it_acknowledged(bench: GatedBench) -> None:
    payment_id = switched(bench)
    bench.silence_stripe()
    began = bench.now
    assert bench.complete().status == "succeeded"
    assert bench.now - began < 4
    assert bench.money_taken() == [payment_id]
    assert len(bench.payable()) == 1


@pytest.mark.parametrize("capture_waits", [False, True])
@pytest.mark.parametrize("kind", ["lost_before", "error_503", "unauthorized"])
def test_payment_that_is_shown_and_cannot_be_canceled_holds_up_the_capture(
    *, capture_waits: bool, kind: str
) -> None:
    bench = GatedBench(capture_waits=capture_waits)
    payment_id = switched(bench)
    break_cancellations(bench, kind)
    assert isinstance(bench.tried(), GatewayUnreachable)
    assert (bench.status(), bench.captures_sent()) == ("requires_capture", 0)
    assert bench.record().follow_up.ending == tuple(bench.payable())
    bench.heal_stripe()
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]


@pytest.mark.parametrize("capture_waits", [False, True])
@pytest.mark.parametrize("paid_first", [False, True])
def test_taken_payment_is_adopted_though_another_cannot_be_canceled(
    *, capture_waits: bool, paid_first: bool
) -> None:
    bench = GatedBench(capture_waits=capture_waits)
    switched(bench)
    [leftover] = bench.payable()
    bench.now += 1
    stray = bench.stray("A-1")
    paid, other = (leftover, stray) if paid_first else (stray, leftover)
    bench.act(paid, "confirm")
    break_cancellations(bench, "error_503")
    assert bench.complete().id == paid
    record = bench.record()
    assert (record.payment_intent_id, record.sent.gateway) == (paid, "stripe")
    assert (bench.captures_sent(), bench.money_taken()) == (0, [paid])
    assert other in record.follow_up.ending
    bench.heal_stripe()
    bench.look_at_all()
    assert other not in bench.payable()


def paid_of_two(bench: GatedBench, *, paid_first: bool) -> str:
    """Pay one of two PaymentIntents of an order that is at PayPal; return its id."""
    switched(bench)
    [leftover] = bench.payable()
    bench.now += 1
    stray = bench.stray("A-1")
    paid = leftover if paid_first else stray
    bench.act(paid, "confirm")
    return paid


@pytest.mark.parametrize("paid_first", [False, True])
def test_late_look_finds_a_taken_payment_though_another_cannot_be_canceled(
    bench: GatedBench, *, paid_first: bool
) -> None:
    paid = paid_of_two(bench, paid_first=paid_first)
    break_cancellations(bench, "error_503")
    bench.now += 60
    bench.look()
    record = bench.record()
    assert (record.payment_intent_id, record.payment_status) == (paid, "succeeded")


@pytest.mark.parametrize("paid_first", [False, True])
def test_late_look_that_finds_a_taken_payment_cancels_the_others(
    bench: GatedBench, *, paid_first: bool
) -> None:
    paid = paid_of_two(bench, paid_first=paid_first)
    bench.now += 60
    bench.look()
    assert bench.record().payment_intent_id == paid
    assert [each["id"] for each in bench.made() if each["status"] != "canceled"] == [paid]


def break_cancellations(bench: GatedBench, kind: str) -> None:
    match = Match(method="POST", path="/v1/payment_intents/pi_")
    bench.sandbox.faults.order(FaultOrder(kind, match, count=None))


def test_capture_waits_where_failover_is_off() -> None:
    bench = GatedBench()
    switched(bench)
    bench.silence_stripe()
    assert isinstance(bench.tried(replace(bench.context, failover=None)), GatewayUnreachable)


def test_look_reaches_back_a_day_before_the_first_send(bench: GatedBench) -> None:
    old = bench.stray("A-1")
    bench.now += 23 * HOUR
    payment_id = switched(bench)
    assert bench.complete().status == "succeeded"
    assert old not in bench.payable()
    assert bench.money_taken() == [payment_id]
