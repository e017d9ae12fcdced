"""The suite finds a gateway that breaks the contract: each broken one fails its test."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from _pytest.outcomes import Failed
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, PaymentError, Refused
from payment_service.gateways.capture_outcome import (
    Captured,
    CaptureOver,
    CaptureUnclear,
    PayerNeeded,
    PaymentGone,
)
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Declined, Made, Outcome, PaidBefore, Unclear
from payment_service.gateways.sent_params import SentParams
from tests.conformance.gateways import test_after_payment as after
from tests.conformance.gateways import test_contract as contract
from tests.conformance.gateways import test_gated as gated
from tests.conformance.gateways.benches import GatewayBench, PayPalBench, StripeBench


class Broken:
    """Passes every operation on; its heirs break one."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class KeyPerSend(Broken):
    numbers = itertools.count()

    def create(self, sent: Any, key: str, deadline: Any) -> Any:
        return self.inner.create(sent, f"{key}-{next(self.numbers)}", deadline)


class NoReplay(Broken):
    def create(self, sent: Any, key: str, deadline: Any) -> Any:
        outcome: Outcome = self.inner.create(sent, key, deadline)
        return replace(outcome, replayed=False) if isinstance(outcome, Made) else outcome


class UnclearIsRefused(Broken):
    def create(self, sent: Any, key: str, deadline: Any) -> Any:
        outcome: Outcome = self.inner.create(sent, key, deadline)
        if not isinstance(outcome, Unclear):
            return outcome
        return Declined(PaymentError("no"), replayed=False)  # type: ignore[arg-type]


class RefusedIsUnclear(Broken):
    def create(self, sent: Any, key: str, deadline: Any) -> Any:
        outcome: Outcome = self.inner.create(sent, key, deadline)
        unclear = Unclear(GatewayFailed("failed"), saved_5xx=False)
        return unclear if isinstance(outcome, Declined) else outcome


class NothingIsSaved(Broken):
    def create(self, sent: Any, key: str, deadline: Any) -> Any:
        outcome: Outcome = self.inner.create(sent, key, deadline)
        return replace(outcome, saved_5xx=False) if isinstance(outcome, Unclear) else outcome


class FindsTheSearchOnly(Broken):
    def find(self, order: Any, since: Any, deadline: Any, sent_until: Any = None) -> Any:
        return self.inner._search(order, deadline)


class FindsAnyOrder(Broken):
    def find(self, order: Any, since: float, deadline: Any, sent_until: Any = None) -> Any:
        return list(self.inner.walk(since, 10))


class RemembersThePast(Broken):
    def retrieve(self, intent_id: str, deadline: Any) -> Intent:
        found: Intent = self.inner.retrieve(intent_id, deadline)
        return replace(found, status="requires_payment_method", amount_received=0)


class RefusesTheUnknown(Broken):
    def retrieve(self, intent_id: str, deadline: Any) -> Any:
        try:
            return self.inner.retrieve(intent_id, deadline)
        except NoSuchIntent as unknown:
            raise GatewayFailed("failed") from unknown


class TakesFailuresForMissing(Broken):
    def retrieve(self, intent_id: str, deadline: Any) -> Any:
        try:
            return self.inner.retrieve(intent_id, deadline)
        except PaymentError as failed:
            raise NoSuchIntent(intent_id) from failed


class CancelsNothing(Broken):
    def cancel(self, intent_id: str, reason: str, deadline: Any) -> Any:
        return self.inner.retrieve(intent_id, deadline)


class WalksOldestFirst(Broken):
    def walk(self, since: float, page_seconds: float) -> Any:
        return reversed(list(self.inner.walk(since, page_seconds)))


class ShowsEverything(Broken):
    def shows(self, intent: Intent, sent: Any) -> bool:
        return True


class RefundKeyPerSend(Broken):
    numbers = itertools.count()

    def refund(self, intent_id: str, sent: Any, key: str, deadline: Any) -> Any:
        return self.inner.refund(intent_id, sent, f"{key}-{next(self.numbers)}", deadline)


class LostRefundIsRefused(Broken):
    def refund(self, intent_id: str, sent: Any, key: str, deadline: Any) -> Any:
        outcome = self.inner.refund(intent_id, sent, key, deadline)
        if not isinstance(outcome, Unclear):
            return outcome
        return Declined(PaymentError("no"), replayed=False)  # type: ignore[arg-type]


class RefundsWithoutAName(Broken):
    def refund(self, intent_id: str, sent: Any, key: str, deadline: Any) -> Any:
        params = {name: value for name, value in sent.params.items() if name != "metadata"}
        return self.inner.refund(
            intent_id, SentParams(sent.api_version, params, sent.gateway), key, deadline
        )


class ListsOnePage(Broken):
    def list_refunds(self, intent_id: str, deadline: Any) -> Any:
        return self.inner.list_refunds(intent_id, deadline)[:100]


class ListsNothingOnFailure(Broken):
    def list_refunds(self, intent_id: str, deadline: Any) -> Any:
        try:
            return self.inner.list_refunds(intent_id, deadline)
        except PaymentError:
            return []


class CapturesEverything(Broken):
    def capture(self, intent_id: str, sent: Any, key: str, deadline: Any) -> Any:
        return self.inner.capture(
            intent_id, SentParams(sent.api_version, {}, sent.gateway), key, deadline
        )


class KnowsNoEnd(Broken):
    def charge(self, intent: Intent, deadline: Any) -> Any:
        return replace(self.inner.charge(intent, deadline), capture_before=None)


class SeesNoDisputes(Broken):
    def list_disputes(self, intent_id: str, deadline: Any) -> Any:
        return []


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (KeyPerSend, contract.test_the_same_key_gives_the_same_payment),
        (KeyPerSend, contract.test_a_key_with_other_parameters_gives_nothing_out),
        (NoReplay, contract.test_a_lost_answer_is_unclear_and_the_key_tells_it),
        (UnclearIsRefused, contract.test_a_lost_request_is_unclear_and_can_be_sent_again),
        (RefusedIsUnclear, contract.test_a_refusal_is_definitive_and_makes_nothing),
        (NothingIsSaved, contract.test_a_saved_5xx_is_said_to_be_saved),
        (FindsTheSearchOnly, contract.test_find_shows_a_payment_as_soon_as_it_is_made),
        (FindsAnyOrder, contract.test_find_gives_the_payments_of_this_order_only),
        (RemembersThePast, contract.test_retrieve_shows_the_payment_as_it_is_now),
        (RefusesTheUnknown, contract.test_an_unknown_id_is_no_such_payment),
        (TakesFailuresForMissing, contract.test_a_404_from_in_front_of_the_provider_says_nothing),
        (CancelsNothing, contract.test_a_paid_payment_is_not_canceled),
        (WalksOldestFirst, contract.test_walk_gives_every_payment_once_newest_first),
        (ShowsEverything, contract.test_an_update_changes_the_payment_and_shows),
        (RefundKeyPerSend, after.test_the_same_key_gives_the_same_refund),
        (LostRefundIsRefused, after.test_a_lost_refund_request_is_unclear_and_can_be_sent_again),
        (RefundsWithoutAName, after.test_a_lost_refund_is_found_in_the_list_and_by_its_key),
        (ListsOnePage, after.test_every_refund_is_listed_however_many_pages_that_takes),
        (ListsNothingOnFailure, after.test_an_incomplete_list_is_an_error_and_never_an_empty_list),
        (CapturesEverything, after.test_a_lost_capture_is_unclear_until_it_is_read),
        (KnowsNoEnd, after.test_an_authorization_shows_its_amount_and_its_end),
        (SeesNoDisputes, after.test_a_dispute_shows_and_prevents_refunds),
    ],
)
def test_a_broken_gateway_fails(broken: Callable[[Any], Any], test: Callable[..., None]) -> None:
    more = ["pi_missing"] if test is contract.test_an_unknown_id_is_no_such_payment else []
    test(StripeBench(), *more)
    bench: GatewayBench = StripeBench()
    bench.gateway = broken(bench.gateway)
    with pytest.raises((AssertionError, Failed, NoSuchIntent, PaymentError)):
        test(bench, *more)


class ShowsNoPage(Broken):
    def create(self, sent: Any, key: str, deadline: Any) -> Any:
        made = self.inner.create(sent, key, deadline)
        return replace(made, intent=replace(made.intent, redirect_url=None))


class ReadsAnyOrder(Broken):
    def retrieve(self, intent_id: str, sent: Any, deadline: Any) -> Any:
        params = {**self.first_sent.params}
        return self.inner.retrieve(intent_id, SentParams("v2", params, "paypal"), deadline)


class Recaptured(Broken):
    """Turns one outcome of a capture into another."""

    def __init__(self, inner: Any, turned: Callable[[Any], Any]) -> None:
        super().__init__(inner)
        self.turned = turned

    def capture(self, intent_id: str, sent: Any, key: str, deadline: Any) -> Any:
        return self.turned(self.inner.capture(intent_id, sent, key, deadline))


def said_to_be_over(kind: type[Any]) -> Callable[[Any], Any]:
    def turned(outcome: Any) -> Any:
        return CaptureOver(Refused("no")) if isinstance(outcome, kind) else outcome

    return lambda inner: Recaptured(inner, turned)


def pending_is_paid(inner: Any) -> Any:
    def turned(outcome: Any) -> Any:
        paid = isinstance(outcome, Captured) and replace(outcome.intent, status="succeeded")
        return replace(outcome, intent=paid) if paid else outcome

    return Recaptured(inner, turned)


def forgets_replays(inner: Any) -> Any:
    def turned(outcome: Any) -> Any:
        return replace(outcome, replayed=False) if isinstance(outcome, Captured) else outcome

    return Recaptured(inner, turned)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (ShowsNoPage, gated.test_a_payment_has_a_page_and_no_secret),
        (
            said_to_be_over(CaptureUnclear),
            gated.test_a_lost_capture_request_is_unclear_and_can_be_sent_again,
        ),
        (said_to_be_over(PayerNeeded), gated.test_a_declined_card_can_be_replaced),
        (
            said_to_be_over(PaidBefore),
            gated.test_an_order_is_captured_once_even_if_its_record_is_lost,
        ),
        (said_to_be_over(PaymentGone), gated.test_a_lapsed_approval_is_gone),
        (pending_is_paid, gated.test_a_pending_capture_is_processing),
        (forgets_replays, gated.test_a_second_capture_takes_nothing),
        (ReadsAnyOrder, gated.test_a_payment_of_another_price_is_not_read),
    ],
)
def test_a_broken_gated_gateway_fails(broken: Callable[[Any], Any], test: Any) -> None:
    test(PayPalBench())
    bench = PayPalBench()
    broken_gateway = broken(bench.gateway)
    broken_gateway.first_sent = bench.sent()
    bench.gateway = broken_gateway
    with pytest.raises((AssertionError, Failed, PaymentError)):
        test(bench)
