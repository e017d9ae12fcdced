"""The refunds of a gated gateway: the same promises as at an open one."""

from __future__ import annotations

import pytest

from payment_service.errors import BadRequest, PaymentError
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Declined, Unclear
from payment_service.gateways.refund import refunded_in_all
from tests.conformance.gateways.benches import GATED, ORDER, GatedBench

HOUR = 3600.0


@pytest.fixture(params=sorted(GATED))
def bench(request: pytest.FixtureRequest) -> GatedBench:
    return GATED[request.param]()


@pytest.fixture
def paid(bench: GatedBench) -> Intent:
    made = bench.made().intent
    bench.pay(made.id)
    return bench.retrieve(made.id)


def test_a_refund_gives_its_amount_back(bench: GatedBench, paid: Intent) -> None:
    made = bench.refunded(paid.id, 1000)
    refund = made.refund
    assert not made.replayed
    assert (refund.intent_id, refund.amount, refund.currency) == (paid.id, 1000, "usd")
    assert (refund.status, refund.failure_reason) == ("succeeded", None)
    assert abs(refund.created - bench.now) < 60
    assert refund.is_of(ORDER, "R-1")
    assert not refund.is_of(ORDER, "R-2")
    assert bench.refunds(paid.id) == [refund]


def test_a_refund_leaves_the_payment_as_it_was(bench: GatedBench, paid: Intent) -> None:
    for number, amount in enumerate((500, 599)):
        bench.refunded(paid.id, amount, f"refund-{number}")
        after = bench.retrieve(paid.id)
        assert (after.status, after.amount_received) == ("succeeded", 1099)


def test_the_same_request_gives_the_same_parameters(bench: GatedBench) -> None:
    assert bench.sent_refund(500).text() == bench.sent_refund(500).text()
    assert bench.sent_refund(500).gateway == bench.gateway.facts.name


def test_the_same_key_gives_the_same_refund(bench: GatedBench, paid: Intent) -> None:
    first, second = bench.refunded(paid.id, 500), bench.refunded(paid.id, 500)
    assert second.replayed
    assert second.refund == first.refund
    assert len(bench.refunds(paid.id)) == 1


def test_another_key_makes_another_refund(bench: GatedBench, paid: Intent) -> None:
    for key in ("refund-1", "refund-2"):
        bench.refunded(paid.id, 500, key)
    assert refunded_in_all(bench.refunds(paid.id)) == 1000


def test_a_key_is_kept_for_its_life(bench: GatedBench, paid: Intent) -> None:
    bench.refunded(paid.id, 500)
    bench.wait(bench.money().facts.key_is_safe_seconds)
    assert bench.refunded(paid.id, 500).replayed
    bench.wait(2 * HOUR)
    assert not bench.refunded(paid.id, 500).replayed


def test_more_than_is_left_is_not_refunded(bench: GatedBench, paid: Intent) -> None:
    bench.refunded(paid.id, 1000)
    outcome = bench.refund(paid.id, 100, "refund-2")
    assert isinstance(outcome, Declined)
    assert (outcome.error.code, outcome.after_unresolved) == ("amount_too_large", False)
    bench.refunded(paid.id, 99, "refund-3")
    assert isinstance(bench.refund(paid.id, 1, "refund-4"), Declined)
    assert refunded_in_all(bench.refunds(paid.id)) == 1099


@pytest.mark.parametrize("state", ["made", "approved", "processing"])
def test_a_payment_that_is_not_paid_is_not_refunded(bench: GatedBench, state: str) -> None:
    intent = (
        bench.made().intent
        if state == "made"
        else bench.approved("processing" if state == "processing" else "succeeded")
    )
    if state == "processing":
        bench.capture(intent.id)
    assert isinstance(bench.refund(intent.id, 500), Declined)
    assert bench.refunds(intent.id) == []


def test_a_lost_request_is_unclear_and_can_be_sent_again(bench: GatedBench, paid: Intent) -> None:
    bench.lose_requests("refund")
    assert isinstance(bench.refund(paid.id, 500), Unclear)
    bench.mend()
    assert bench.refunds(paid.id) == []
    assert not bench.refunded(paid.id, 500).replayed


def test_a_lost_answer_is_found_in_the_list_and_by_its_key(bench: GatedBench, paid: Intent) -> None:
    bench.lose_answers("refund")
    outcome = bench.refund(paid.id, 500)
    assert isinstance(outcome, Unclear)
    assert not outcome.saved_5xx
    bench.mend()
    (found,) = bench.refunds(paid.id)
    assert found.is_of(ORDER, "R-1")
    replayed = bench.refunded(paid.id, 500)
    assert (replayed.replayed, replayed.refund.id) == (True, found.id)


def test_refunds_are_listed_newest_first_with_the_dashboards(
    bench: GatedBench, paid: Intent
) -> None:
    first = bench.refunded(paid.id, 1).refund.id
    bench.wait(5)
    second = bench.refund_outside(paid.id, 2)
    listed = bench.refunds(paid.id)
    assert [each.id for each in listed] == [second, first]
    assert [each.is_of(ORDER, "R-1") for each in listed] == [False, True]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_failed_refund_frees_its_amount(bench: GatedBench, paid: Intent, status: str) -> None:
    bench.refunded(paid.id, 1099)
    bench.end_refund(paid.id, status)
    (ended,) = bench.refunds(paid.id)
    assert (ended.status, ended.counts) == (status, False)
    assert bench.refunded(paid.id, 1099, "refund-2").refund.counts


def test_a_list_that_cannot_be_read_is_no_empty_list(bench: GatedBench, paid: Intent) -> None:
    bench.refunded(paid.id, 500)
    bench.answer_404()
    with pytest.raises(PaymentError):
        bench.refunds(paid.id)
    assert isinstance(bench.refund(paid.id, 500, "refund-2"), Unclear)


@pytest.mark.parametrize("key", ["", "ключ", "a\nb", "x" * 256])
def test_a_text_that_is_no_key_moves_no_money(bench: GatedBench, paid: Intent, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        bench.refund(paid.id, 500, key)
    assert bench.refunds(paid.id) == []


@pytest.mark.parametrize("intent_id", ["", "../captures", "A/B", "A?x=1"])
def test_a_malformed_id_is_not_sent(bench: GatedBench, intent_id: str) -> None:
    with pytest.raises(NoSuchIntent):
        bench.refunds(intent_id)
    with pytest.raises(NoSuchIntent):
        bench.refund(intent_id, 500)


def test_a_refund_that_the_provider_cannot_name_is_a_bad_request(bench: GatedBench) -> None:
    with pytest.raises(BadRequest):
        bench.sent_refund(500, refund_id="x" * 300)
    with pytest.raises(BadRequest):
        bench.sent_refund(500, cart="7")
