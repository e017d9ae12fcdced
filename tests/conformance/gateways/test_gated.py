"""The contract of a gated gateway: only a capture of ours moves money, and only once."""

from __future__ import annotations

import pytest

from payment_service.errors import PaymentError
from payment_service.gateways.capture_outcome import (
    Captured,
    CaptureOver,
    CaptureUnclear,
    PayerNeeded,
    PaymentGone,
)
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.intent import CANCELED
from payment_service.gateways.outcome import PaidBefore
from tests.conformance.gateways.benches import BENCHES, GATED, ORDER, GatedBench


@pytest.fixture(params=sorted(GATED))
def bench(request: pytest.FixtureRequest) -> GatedBench:
    return GATED[request.param]()


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_the_facts_say_whether_a_gateway_is_gated(name: str) -> None:
    facts = BENCHES[name]().gateway.facts
    assert facts.gated is (name in GATED)
    if facts.gated:
        assert not facts.list_is_current


def test_a_payment_has_a_page_and_no_secret(bench: GatedBench) -> None:
    made = bench.made().intent
    assert made.client_secret == ""
    assert made.redirect_url is not None
    assert made.id in made.redirect_url
    assert made.status == "requires_action"


def test_an_approval_moves_no_money(bench: GatedBench) -> None:
    approved = bench.approved()
    assert (approved.status, approved.amount_received) == ("requires_capture", 0)
    assert approved.redirect_url is None


def test_a_capture_takes_the_whole_amount(bench: GatedBench) -> None:
    captured = bench.capture(bench.approved().id)
    assert isinstance(captured, Captured)
    assert not captured.replayed
    assert (captured.intent.status, captured.intent.amount_received) == ("succeeded", 1099)
    assert bench.retrieve(captured.intent.id) == captured.intent


def test_a_second_capture_takes_nothing(bench: GatedBench) -> None:
    approved = bench.approved()
    for key, replayed in (("capture-1", False), ("capture-1", True), ("capture-2", True)):
        captured = bench.capture(approved.id, key)
        assert isinstance(captured, Captured)
        assert captured.replayed is replayed
    assert bench.retrieve(approved.id).amount_received == 1099


def test_a_payment_that_is_not_approved_needs_the_payer(bench: GatedBench) -> None:
    made = bench.made().intent
    outcome = bench.capture(made.id)
    assert isinstance(outcome, PayerNeeded)
    assert not outcome.declined
    bench.approve(made.id)
    assert isinstance(bench.capture(made.id), Captured)


def test_a_declined_card_can_be_replaced(bench: GatedBench) -> None:
    made = bench.approved("declined")
    outcome = bench.capture(made.id)
    assert isinstance(outcome, PayerNeeded)
    assert outcome.declined
    assert bench.retrieve(made.id).amount_received == 0
    bench.approve(made.id)
    assert isinstance(bench.capture(made.id, "capture-2"), Captured)


def test_a_pending_capture_is_processing(bench: GatedBench) -> None:
    captured = bench.capture(bench.approved("processing").id)
    assert isinstance(captured, Captured)
    assert (captured.intent.status, captured.intent.amount_received) == ("processing", 0)


@pytest.mark.parametrize("outcome", ["canceled", "over"])
def test_a_refused_capture_ends_the_payment(bench: GatedBench, outcome: str) -> None:
    over = bench.capture(bench.approved(outcome).id)
    assert isinstance(over, CaptureOver)
    assert over.intent is None or over.intent.status == CANCELED


def test_a_lost_capture_answer_is_resolved_by_reading(bench: GatedBench) -> None:
    approved = bench.approved()
    bench.lose_answers("capture")
    captured = bench.capture(approved.id)
    assert isinstance(captured, Captured)
    assert captured.replayed
    assert captured.intent.amount_received == 1099


def test_a_lost_capture_request_is_unclear_and_can_be_sent_again(bench: GatedBench) -> None:
    approved = bench.approved()
    bench.lose_requests("capture")
    assert isinstance(bench.capture(approved.id), CaptureUnclear)
    bench.mend()
    captured = bench.capture(approved.id)
    assert isinstance(captured, Captured)
    assert not captured.replayed


def test_an_order_is_captured_once_even_if_its_record_is_lost(bench: GatedBench) -> None:
    first, second = bench.approved(key="key-1"), bench.approved(key="key-2")
    assert first.id != second.id
    assert isinstance(bench.capture(first.id), Captured)
    assert isinstance(bench.capture(second.id, "capture-2"), PaidBefore)
    assert bench.retrieve(second.id).amount_received == 0


def test_a_lapsed_approval_is_gone(bench: GatedBench) -> None:
    approved = bench.approved()
    bench.expire()
    assert isinstance(bench.capture(approved.id), PaymentGone)
    with pytest.raises(NoSuchIntent):
        bench.retrieve(approved.id)


def test_a_404_from_in_front_of_the_provider_says_nothing(bench: GatedBench) -> None:
    approved = bench.approved()
    bench.answer_404()
    with pytest.raises(PaymentError):
        bench.retrieve(approved.id)
    assert isinstance(bench.capture(approved.id), CaptureUnclear)
    bench.mend()
    assert isinstance(bench.capture(approved.id), Captured)


def test_a_payment_that_ended_at_the_provider_is_canceled(bench: GatedBench) -> None:
    made = bench.made().intent
    bench.end_outside(made.id)
    assert bench.retrieve(made.id).status == CANCELED
    assert isinstance(bench.capture(made.id), CaptureOver)


@pytest.mark.parametrize("key", ["", "ключ", "a\nb", "x" * 256])
def test_a_text_that_is_no_key_captures_nothing(bench: GatedBench, key: str) -> None:
    approved = bench.approved()
    with pytest.raises(ValueError, match="key"):
        bench.capture(approved.id, key)
    assert bench.retrieve(approved.id).amount_received == 0


@pytest.mark.parametrize("intent_id", ["", "../x", "X?x=y", "x", "pi_1"])
def test_a_malformed_id_is_not_sent(bench: GatedBench, intent_id: str) -> None:
    with pytest.raises(NoSuchIntent):
        bench.capture(intent_id)
    with pytest.raises(NoSuchIntent):
        bench.retrieve(intent_id)


def test_a_payment_of_another_price_is_not_read(bench: GatedBench) -> None:
    made = bench.made().intent
    for other in (bench.sent(amount=2000), bench.sent(order_id="A-2")):
        with pytest.raises(PaymentError):
            bench.gateway.retrieve(made.id, other, bench.soon())
        outcome = bench.gateway.capture(made.id, other, "capture-1", bench.soon())
        assert not isinstance(outcome, Captured)


def test_a_payment_is_found_by_its_name_whatever_its_price(bench: GatedBench) -> None:
    made = bench.made(sent=bench.sent(amount=2000)).intent
    found = bench.gateway.find_named(made.id, ORDER, bench.soon())
    assert found is not None
    assert (found.intent.id, found.intent.amount, found.intent.currency) == (made.id, 2000, "usd")
    assert bench.gateway.retrieve(made.id, found.sent, bench.soon()) == found.intent


def test_a_payment_of_another_order_is_not_found(bench: GatedBench) -> None:
    made = bench.made(sent=bench.sent(order_id="A-2")).intent
    assert bench.gateway.find_named(made.id, ORDER, bench.soon()) is None
    assert bench.gateway.find_named("UNKNOWN", ORDER, bench.soon()) is None
    bench.answer_404()
    with pytest.raises(PaymentError):
        bench.gateway.find_named(made.id, ORDER, bench.soon())
