"""The gateway contract once a payment is authorized: capture, refunds, disputes, their events."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.errors import PaymentError, Refused
from payment_service.gateways import dispute as disputes
from payment_service.gateways import refund as refunds
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.event import DisputeEvent, RefundEvent
from payment_service.gateways.intent import CANCELED, Intent
from payment_service.gateways.outcome import Declined, KeyMisused, Made, Unclear
from payment_service.gateways.refund import refunded_in_all
from payment_service.gateways.sent_params import SentParams
from tests.conformance.gateways.benches import OPEN, ORDER, GatewayBench

HOUR = 3600.0


@pytest.fixture(params=sorted(OPEN))
def bench(request: pytest.FixtureRequest) -> GatewayBench:
    return OPEN[request.param]()


def now(bench: GatewayBench, intent: Intent) -> Intent:
    return bench.gateway.retrieve(intent.id, bench.soon())


# Authorization and capture.


def test_an_authorization_shows_its_amount_and_its_end(bench: GatewayBench) -> None:
    held = bench.authorized()
    assert (held.status, held.amount_capturable, held.amount_received) == (
        "requires_capture",
        1099,
        0,
    )
    charge = bench.gateway.charge(held, bench.soon())
    assert charge is not None
    assert charge.capture_before is not None
    assert charge.capture_before > bench.now
    assert charge.intent_id == held.id


def test_a_lapsed_authorization_is_canceled(bench: GatewayBench) -> None:
    held = bench.authorized()
    bench.lapse()
    assert now(bench, held).status == CANCELED
    outcome = bench.capture(held.id)
    assert isinstance(outcome, Declined)
    assert isinstance(outcome.error, Refused)


def test_an_unpaid_payment_has_no_charge(bench: GatewayBench) -> None:
    assert bench.gateway.charge(bench.made().intent, bench.soon()) is None


@pytest.mark.parametrize(("params", "amount"), [({}, 1099), ({"amount": 1000}, 1000)])
def test_a_capture_takes_its_amount(
    bench: GatewayBench, params: dict[str, Any], amount: int
) -> None:
    held = bench.authorized()
    captured = bench.capture(held.id, **params)
    assert isinstance(captured, Made)
    assert (captured.intent.status, captured.intent.amount_received) == ("succeeded", amount)
    charge = bench.gateway.charge(captured.intent, bench.soon())
    assert charge is not None
    assert charge.capture_before is None


def test_a_capture_under_one_key_is_replayed(bench: GatewayBench) -> None:
    held = bench.authorized()
    first, second = bench.capture(held.id, amount=1000), bench.capture(held.id, amount=1000)
    assert (first.replayed, second.replayed) == (False, True)
    assert isinstance(bench.capture(held.id, amount=999), KeyMisused)


@pytest.mark.parametrize("amount", [1, 99, 1099])
def test_a_second_capture_takes_nothing(bench: GatewayBench, amount: int) -> None:
    held = bench.authorized()
    bench.capture(held.id, amount=1000)
    assert isinstance(bench.capture(held.id, "capture-2", amount=amount), Declined)
    assert now(bench, held).amount_received == 1000


def test_more_than_is_authorized_is_not_captured(bench: GatewayBench) -> None:
    held = bench.authorized()
    assert isinstance(bench.capture(held.id, amount=1100), Declined)
    assert now(bench, held).status == "requires_capture"


def test_a_lost_capture_is_unclear_until_it_is_read(bench: GatewayBench) -> None:
    held = bench.authorized()
    bench.lose_answers("capture")
    outcome = bench.capture(held.id, amount=1000)
    assert isinstance(outcome, Unclear)
    assert not outcome.saved_5xx
    bench.mend()
    assert now(bench, held).amount_received == 1000
    assert bench.capture(held.id, amount=1000).replayed


def test_a_capture_that_never_arrived_can_be_sent_again(bench: GatewayBench) -> None:
    held = bench.authorized()
    bench.lose_requests("capture")
    assert isinstance(bench.capture(held.id), Unclear)
    bench.mend()
    assert not bench.capture(held.id).replayed


# Refunds.


def test_a_refund_gives_its_amount_back(bench: GatewayBench) -> None:
    paid = bench.paid()
    made = bench.refunded(paid.id, amount=1000, reason="duplicate")
    refund = made.refund
    assert not made.replayed
    assert (refund.intent_id, refund.amount, refund.currency) == (paid.id, 1000, "usd")
    assert (refund.status, refund.reason, refund.failure_reason) == ("succeeded", "duplicate", None)
    assert abs(refund.created - bench.now) < 60
    assert refund.is_of(ORDER, "R-1")
    assert not refund.is_of(ORDER, "R-2")


def test_a_refund_without_an_amount_gives_back_what_is_left(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.refunded(paid.id, amount=1000)
    assert bench.refunded(paid.id, "refund-2", refund_id="R-2").refund.amount == 99


def test_the_same_key_gives_the_same_refund(bench: GatewayBench) -> None:
    paid = bench.paid()
    first, second = bench.refunded(paid.id, amount=500), bench.refunded(paid.id, amount=500)
    assert second.replayed
    assert second.refund.id == first.refund.id
    assert len(bench.refunds(paid.id)) == 1


def test_a_refund_key_with_other_parameters_is_misused(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.refunded(paid.id, amount=500)
    assert isinstance(bench.refund(paid.id, amount=501), KeyMisused)
    assert refunded_in_all(bench.refunds(paid.id)) == 500


def test_another_key_makes_another_refund(bench: GatewayBench) -> None:
    paid = bench.paid()
    for key in ("refund-1", "refund-2"):
        bench.refunded(paid.id, key, amount=500)
    assert refunded_in_all(bench.refunds(paid.id)) == 1000


def test_a_forgotten_key_refunds_again(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.refunded(paid.id, amount=500)
    bench.wait(bench.gateway.facts.key_life_seconds + HOUR)
    assert not bench.refunded(paid.id, amount=500).replayed


def test_more_than_is_left_is_not_refunded(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.refunded(paid.id, amount=1000)
    outcome = bench.refund(paid.id, "refund-2", amount=100)
    assert isinstance(outcome, Declined)
    assert not outcome.after_unresolved
    bench.refunded(paid.id, "refund-3", amount=99)
    assert isinstance(bench.refund(paid.id, "refund-4"), Declined)
    assert refunded_in_all(bench.refunds(paid.id)) == 1099


def test_an_unpaid_payment_is_not_refunded(bench: GatewayBench) -> None:
    for intent in (bench.made().intent, bench.authorized()):
        assert isinstance(bench.refund(intent.id, f"refund-{intent.id}"), Declined)
        assert bench.refunds(intent.id) == []


def test_a_lost_refund_request_is_unclear_and_can_be_sent_again(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.lose_requests("refund")
    assert isinstance(bench.refund(paid.id), Unclear)
    bench.mend()
    assert bench.refunds(paid.id) == []
    assert not bench.refunded(paid.id).replayed


def test_a_lost_refund_is_found_in_the_list_and_by_its_key(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.lose_answers("refund")
    outcome = bench.refund(paid.id, amount=500)
    assert isinstance(outcome, Unclear)
    assert not outcome.saved_5xx
    bench.mend()
    (found,) = bench.refunds(paid.id)
    assert found.is_of(ORDER, "R-1")
    replayed = bench.refunded(paid.id, amount=500)
    assert (replayed.replayed, replayed.refund.id) == (True, found.id)


def test_a_saved_5xx_of_a_refund_is_said_to_be_saved(bench: GatewayBench) -> None:
    if not bench.gateway.facts.saves_errors:
        pytest.skip("this provider saves no errors")
    paid = bench.paid()
    bench.fail_and_save("refund")
    for _ in range(2):
        outcome = bench.refund(paid.id)
        assert isinstance(outcome, Unclear)
        assert outcome.saved_5xx
    assert bench.refunds(paid.id) == []
    assert not bench.refunded(paid.id, "refund-2").replayed


@pytest.mark.parametrize("key", ["", "ключ", "a\nb", "x" * 256])
def test_a_text_that_is_no_key_moves_no_money(bench: GatewayBench, key: str) -> None:
    paid, held = bench.paid(), bench.authorized()
    for send in (bench.refund, bench.capture):
        with pytest.raises(ValueError, match="key"):
            send(paid.id if send == bench.refund else held.id, key)
    assert bench.refunds(paid.id) == []


def test_refunds_are_listed_newest_first_with_the_dashboards(bench: GatewayBench) -> None:
    paid, other = bench.paid(), bench.made("key-2", bench.sent(order_id="A-2")).intent
    bench.pay(other.id)
    first = bench.refunded(paid.id, amount=1).refund.id
    bench.wait(5)
    second = bench.refund_outside(paid.id, 2)
    bench.refund_outside(other.id, 3)
    listed = bench.refunds(paid.id)
    assert [each.id for each in listed] == [second, first]
    assert [each.is_of(ORDER, "R-1") for each in listed] == [False, True]
    assert bench.refunds(bench.authorized().id) == []


def test_every_refund_is_listed_however_many_pages_that_takes(bench: GatewayBench) -> None:
    paid = bench.paid()
    made = [bench.refund_outside(paid.id, 1) for _ in range(205)]
    assert [each.id for each in bench.refunds(paid.id)] == made[::-1]


def test_a_failed_refund_frees_its_amount(bench: GatewayBench) -> None:
    paid = bench.paid()
    refund = bench.refunded(paid.id).refund
    bench.fail_refund(refund.id)
    (failed,) = bench.refunds(paid.id)
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert not failed.counts
    assert refunded_in_all([failed]) == 0
    assert bench.refunded(paid.id, "refund-2").refund.amount == 1099
    assert bench.refunded(paid.id).refund.status == "succeeded", "the saved answer is the past"


# Disputes.


def test_a_dispute_shows_and_prevents_refunds(bench: GatewayBench) -> None:
    paid = bench.paid()
    assert bench.gateway.list_disputes(paid.id, bench.soon()) == []
    dispute_id = bench.dispute(paid.id)
    listed = bench.gateway.list_disputes(paid.id, bench.soon())
    assert len(listed) == 1
    dispute = listed[0]
    assert (dispute.id, dispute.intent_id, dispute.amount) == (dispute_id, paid.id, 1099)
    assert (dispute.status, dispute.is_open, dispute.is_inquiry) == ("needs_response", True, False)
    assert dispute.respond_by is not None
    assert dispute.respond_by > bench.now
    assert isinstance(bench.refund(paid.id), Declined)


@pytest.mark.parametrize(("verb", "status"), [("win", "won"), ("lose", "lost")])
def test_a_dispute_is_decided(bench: GatewayBench, verb: str, status: str) -> None:
    paid = bench.paid()
    dispute_id = bench.dispute(paid.id)
    bench.decide(dispute_id, "review")
    (dispute,) = bench.gateway.list_disputes(paid.id, bench.soon())
    assert (dispute.status, dispute.is_open) == ("under_review", True)
    bench.decide(dispute_id, verb)
    (dispute,) = bench.gateway.list_disputes(paid.id, bench.soon())
    assert (dispute.status, dispute.is_open) == (status, False)


def test_an_inquiry_is_no_dispute_yet(bench: GatewayBench) -> None:
    paid = bench.paid()
    inquiry = bench.dispute(paid.id, inquiry=True)
    (found,) = bench.gateway.list_disputes(paid.id, bench.soon())
    assert (found.status, found.is_inquiry) == ("needs_response", True)
    bench.decide(inquiry, "win")
    (found,) = bench.gateway.list_disputes(paid.id, bench.soon())
    assert (found.status, found.is_open) == ("closed", False)


def test_the_walks_show_every_refund_and_dispute_since_then(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.refunded(paid.id, amount=100)
    bench.wait(10 * HOUR)
    late = bench.refunded(paid.id, key="refund-2", refund_id="R-2", amount=200).refund
    dispute_id = bench.dispute(paid.id)
    since = bench.now - HOUR
    assert [each.id for each in bench.gateway.walk_refunds(since, 5.0)] == [late.id]
    assert [each.id for each in bench.gateway.walk_disputes(since, 5.0)] == [dispute_id]
    everything = list(bench.gateway.walk_refunds(since - 24 * HOUR, 5.0))
    assert [each.amount for each in everything] == [200, 100]
    bench.break_lists()
    for walk in (bench.gateway.walk_refunds, bench.gateway.walk_disputes):
        with pytest.raises(PaymentError):
            list(walk(since, 5.0))


@pytest.mark.parametrize("intent_id", ["", "../x", "pi_1?x=y", "ch_1"])
def test_a_malformed_id_is_not_sent(bench: GatewayBench, intent_id: str) -> None:
    sent = SentParams(bench.gateway.api_version, {})
    soon = bench.soon()
    calls: list[Any] = [
        lambda: bench.gateway.capture(intent_id, sent, "key", soon),
        lambda: bench.gateway.refund(intent_id, sent, "key", soon),
        lambda: bench.gateway.list_refunds(intent_id, soon),
        lambda: bench.gateway.list_disputes(intent_id, soon),
    ]
    for call in calls:
        with pytest.raises(NoSuchIntent):
            call()


# Events.


def test_an_event_of_a_refund_shows_the_order_and_the_refund(bench: GatewayBench) -> None:
    paid = bench.paid()
    refund = bench.refunded(paid.id).refund
    event = bench.last_event("refund.created")
    assert isinstance(event, RefundEvent)
    assert (event.intent_id, event.order, event.refund) == (paid.id, ORDER, refund)
    bench.fail_refund(refund.id)
    failed = bench.last_event("refund.failed")
    assert (failed.refund.id, failed.refund.status) == (refund.id, "failed")


def test_an_event_of_a_dashboards_refund_names_no_order(bench: GatewayBench) -> None:
    paid = bench.paid()
    refund_id = bench.refund_outside(paid.id, 100)
    event = bench.last_event("refund.created")
    assert (event.intent_id, event.order, event.refund.id) == (paid.id, None, refund_id)


def test_an_event_of_a_dispute_shows_the_payment(bench: GatewayBench) -> None:
    paid = bench.paid()
    dispute_id = bench.dispute(paid.id)
    event = bench.last_event("charge.dispute.created")
    assert isinstance(event, DisputeEvent)
    assert (event.intent_id, event.dispute.id, event.dispute.is_open) == (paid.id, dispute_id, True)
    bench.decide(dispute_id, "lose")
    closed = bench.last_event("charge.dispute.closed")
    assert (closed.dispute.status, closed.dispute.is_open) == ("lost", False)


# Values.


@pytest.mark.parametrize("status", [*sorted(refunds.STATUSES), "unheard_of"])
def test_only_a_refund_without_effect_frees_its_amount(status: str) -> None:
    refund = refunds.Refund("re_1", "pi_1", 5, "usd", status, 0, {})
    assert refund.counts is (status not in ("failed", "canceled"))


@pytest.mark.parametrize("status", [*sorted(disputes.STATUSES), "unheard_of"])
def test_only_a_decided_dispute_is_closed(status: str) -> None:
    dispute = disputes.Dispute("du_1", "pi_1", 5, "usd", status, "general", 0)
    assert dispute.is_open is (status not in ("won", "lost", "closed"))


def test_an_incomplete_list_is_an_error_and_never_an_empty_list(bench: GatewayBench) -> None:
    paid = bench.paid()
    bench.refunded(paid.id)
    bench.break_lists()
    for read in (bench.gateway.list_refunds, bench.gateway.list_disputes):
        with pytest.raises(PaymentError):
            read(paid.id, bench.soon())
