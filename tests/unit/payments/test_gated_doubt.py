"""A send that got no answer may arrive an hour later: nothing that follows ends the order (18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from payment_service.errors import GatewayFailed, Misconfigured, NoLongerOpen, PaymentError, Refused
from payment_service.gateways.capture_outcome import (
    AccountRefused,
    CaptureOutcome,
    CaptureOver,
    CaptureUnclear,
    PayerNeeded,
    PaymentGone,
)
from payment_service.payments.changes.update import update_order
from payment_service.payments.request.existing_order import UpdateRequest
from sandbox.paypal.orders import Order
from tests.support.gated_bench import HOUR, GatedBench
from tests.unit.payments.test_gated_capture import scripted

Lose = Callable[[GatedBench], None]

LATER = {
    "refused for good": CaptureOver(Refused("No.", code="TRANSACTION_REFUSED")),
    "gone": PaymentGone(Refused("Not found.")),
    "declined": PayerNeeded(Refused("No.", code="INSTRUMENT_DECLINED"), declined=True),
    "not approved": PayerNeeded(Refused("No."), declined=False),
    "account refused": AccountRefused(Misconfigured("Not allowed.")),
    "no token": CaptureUnclear(GatewayFailed("No token."), nothing_sent=True),
}


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


def lose_send(bench: GatedBench) -> None:
    """Send the capture, and lose it on the way."""
    bench.break_captures("lost_before", count=None)
    bench.tried()
    bench.paypal.faults.clear()


def lose_send_of_former_claim(bench: GatedBench) -> None:
    """The same; then a decline takes the claim back, and the shopper approves again."""
    lose_send(bench)
    declined = PayerNeeded(Refused("No.", code="INSTRUMENT_DECLINED"), declined=True)
    bench.tried(scripted(bench, declined))
    assert bench.claim().claimed_at is None


def is_processing(work: Callable[[], object]) -> bool:
    with pytest.raises(PaymentError) as raised:
        work()
    return raised.value.code == "payment_processing"


def update(bench: GatedBench) -> object:
    request = UpdateRequest(order_id="A-1", amount=2000)
    return update_order(bench.context, bench.record().order, request, bench.soon())


def check_order_goes_on(bench: GatedBench, payment_id: str) -> None:
    """Nothing replaces the payment, and the late send still pays the order once."""
    assert is_processing(bench.cancel)
    with pytest.raises(NoLongerOpen):
        update(bench)
    bench.break_captures("forbidden")
    bench.break_reads("lost_before")
    with pytest.raises(PaymentError):
        bench.ask_in(bench.context)
    bench.paypal.faults.clear()
    assert bench.record().payment_intent_id == payment_id
    bench.capture_named(payment_id)
    assert bench.complete().status == "succeeded"
    assert (bench.money_taken(), bench.payable()) == ([payment_id], [])


@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
@pytest.mark.parametrize("lose", [lose_send, lose_send_of_former_claim])
def test_later_rejection_does_not_end_an_order(
    bench: GatedBench, lose: Lose, later: CaptureOutcome
) -> None:
    payment_id = bench.approved()
    lose(bench)
    bench.tried(scripted(bench, later))
    check_order_goes_on(bench, payment_id)


@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
def test_rejection_ends_an_order_an_hour_after_the_lost_send(
    bench: GatedBench, later: CaptureOutcome
) -> None:
    bench.approved()
    lose_send_of_former_claim(bench)
    bench.now += HOUR
    bench.tried(scripted(bench, later))
    bench.tried(scripted(bench, later))
    if bench.status() != "canceled":
        bench.cancel()
    assert bench.ask_in(bench.context).gateway == "stripe"


def test_repeated_refusals_do_not_prolong_the_hour(bench: GatedBench) -> None:
    bench.approved()
    lose_send(bench)
    refused = CaptureOver(Refused("No.", code="TRANSACTION_REFUSED"))
    bench.tried(scripted(bench, refused))
    until = bench.claim().doubt_until
    for _ in range(3):
        bench.now += 600
        bench.tried(scripted(bench, refused))
    assert bench.claim().doubt_until == until


def forget(bench: GatedBench, payment_id: str) -> Order:
    return bench.paypal.orders.pop(payment_id)


def test_payment_that_a_read_does_not_show_is_unknown_for_an_hour(bench: GatedBench) -> None:
    payment_id = bench.approved()
    lose_send_of_former_claim(bench)
    hidden = forget(bench, payment_id)
    assert isinstance(bench.tried(), GatewayFailed)
    assert is_processing(bench.cancel)
    assert bench.reconcile() == {"checked": 1, "unresolved": 1}
    bench.paypal.orders[payment_id] = hidden
    bench.capture_named(payment_id)
    assert bench.complete().status == "succeeded"


def test_payment_that_a_read_does_not_show_is_over_an_hour_later(bench: GatedBench) -> None:
    payment_id = bench.approved()
    lose_send_of_former_claim(bench)
    forget(bench, payment_id)
    bench.now += HOUR
    assert bench.complete().status == "canceled"


def test_end_that_the_payment_shows_is_final_at_once(bench: GatedBench) -> None:
    """The gateway has voided the payment: no send can capture it any more."""
    payment_id = bench.approved()
    lose_send_of_former_claim(bench)
    bench.paypal.orders[payment_id].status = "VOIDED"
    assert bench.complete().status == "canceled"
    assert bench.ask_in(bench.context).gateway == "stripe"
