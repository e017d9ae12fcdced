"""The gateways that a request accepts: its parameters at each, its answer, and its flight."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from payment_service.errors import GatewayNotAccepted
from payment_service.payments.payments import PaymentAnswer, Payments
from payment_service.payments.request.create import PaymentRequest, check_request
from payment_service.settings import load_settings
from tests.support.switch_bench import TwoGateways

ORDER = {"amount": 1099, "currency": "usd", "order_id": "A-1"}


class Bench(TwoGateways):
    def __init__(self) -> None:
        super().__init__()
        settings = load_settings({"STRIPE_SECRET_KEY": "sk_test_shop"})
        self.payments = Payments(self.context, settings)

    def create(self, *accepts: str, **more: Any) -> PaymentAnswer:
        named = {"accept_gateways": list(accepts)} if accepts else {}
        return self.payments.create(check_request({**ORDER, **named, **more}, PaymentRequest))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_answer_of_stripe_has_its_secret(bench: Bench) -> None:
    answer = bench.create("stripe", "paypal")
    assert (answer.gateway, answer.redirect_url) == ("stripe", None)
    assert answer.client_secret


def test_answer_of_paypal_has_its_page_and_no_secret(bench: Bench) -> None:
    bench.open_circuit()
    answer = bench.create("stripe", "paypal")
    assert (answer.gateway, answer.client_secret) == ("paypal", None)
    assert answer.redirect_url is not None
    assert answer.payment_intent_id in answer.redirect_url
    assert answer.redirect_url not in repr(answer)


def test_request_accepts_stripe_by_default(bench: Bench) -> None:
    bench.open_circuit()
    assert bench.create().gateway == "stripe"


def test_accepted_gateways_are_no_part_of_the_order(bench: Bench) -> None:
    first = bench.create("stripe", "paypal")
    again = bench.create("stripe")
    assert (again.payment_intent_id, again.replayed) == (first.payment_intent_id, True)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"payment_method_types": ["us_bank_account"]}, "payment_method_types"),
        ({"capture_method": "manual"}, "capture_method"),
        ({"customer": "cus_1"}, "customer"),
    ],
)
def test_unsuited_order_stays_at_stripe_and_the_log_says_why(
    bench: Bench, more: dict[str, Any], field: str
) -> None:
    bench.open_circuit()
    assert bench.create("stripe", "paypal", **more).gateway == "stripe"
    (seen,) = [each for each in bench.seen if each.what == "failover_unsuited"]
    assert (seen.order.order_id, seen.facts) == ("A-1", {"gateway": "paypal", "field": field})


def test_requests_that_accept_other_gateways_share_no_answer(bench: Bench) -> None:
    """While one request is at PayPal, another one of the order cannot use a redirect."""
    bench.open_circuit()
    followers: list[threading.Thread] = []
    failures: list[Exception] = []
    waiting, is_answered = threading.Event(), threading.Event()

    def wait(_: float) -> None:
        waiting.set()
        is_answered.wait(10)

    def follow() -> None:
        try:
            bench.create("stripe")
        except GatewayNotAccepted as wrong:
            failures.append(wrong)

    def start() -> None:
        bench.on_paypal = lambda: None
        followers.append(threading.Thread(target=follow))
        followers[0].start()
        # A follower that shared the flight would not poll the store.
        assert waiting.wait(10)

    bench.on_paypal, bench.on_sleep = start, wait
    assert bench.create("stripe", "paypal").gateway == "paypal"
    is_answered.set()
    followers[0].join(10)
    assert len(failures) == 1
