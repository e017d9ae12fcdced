"""Idempotency keys and faults of captures and refunds: the same rules as for creations."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from sandbox.answers import Response
from sandbox.execution import Execution
from sandbox.faults import FaultOrder, Match
from tests.support.paid_intents import REFUNDS, PaidShop
from tests.support.sandbox_in_process import error

DAY = 86_400
KEY = {"Idempotency_Key": "key-1"}


class Work:
    """One capture or refund under a key, and the amount that Stripe has moved by it."""

    def __init__(self, kind: str) -> None:
        self.shop = PaidShop()
        if kind == "capture":
            self.intent = self.shop.authorize()
            self.path = f"/v1/payment_intents/{self.intent['id']}/capture"
            self.params: dict[str, Any] = {"amount_to_capture": 500}
        else:
            self.intent = self.shop.pay()
            self.path = REFUNDS
            self.params = {
                "payment_intent": self.intent["id"],
                "amount": 500,
                "metadata[order_id]": "A-1",
            }

    def send(self, **more: Any) -> Response:
        return self.shop.post(self.path, self.params | more, **KEY)

    def moved(self) -> int:
        charge = self.shop.charge(self.intent)
        return int(charge["amount_refunded"] or charge["amount_captured"] % 1099)

    def break_(self, kind: str, **more: Any) -> None:
        match = Match(method="POST", path=f"{self.path}$")
        self.shop.sandbox.faults.order(FaultOrder(kind, match, **more))


@pytest.fixture(params=["capture", "refund"])
def work(request: pytest.FixtureRequest) -> Work:
    return Work(request.param)


def test_the_same_key_moves_the_money_once(work: Work) -> None:
    first, second = work.send(), work.send()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (second.body, work.moved()) == (first.body, 500)


def test_the_same_key_with_another_amount_is_misused(work: Work) -> None:
    work.send()
    other = work.send(**{"amount" if work.path == REFUNDS else "amount_to_capture": 501})
    assert (other.status, error(other)["type"]) == (400, "idempotency_error")
    assert work.moved() == 500


def test_a_replay_shows_the_object_of_its_time(work: Work) -> None:
    first = work.send()
    work.shop.refund(work.intent, amount=100)
    assert work.send().body == first.body


@pytest.mark.parametrize(
    ("kind", "status", "moved", "then"),
    [
        ("error_500_with_object", 500, 500, 500),
        ("error_500_without_object", 500, 0, 500),
        ("late_object", 500, 0, 500),
        ("error_503", 503, 0, 200),
        ("rate_limited", 429, 0, 200),
        ("lock_timeout", 429, 0, 200),
        ("key_in_use", 409, 0, 200),
        ("unauthorized", 401, 0, 200),
        ("forbidden", 403, 0, 200),
        ("too_early_425", 425, 0, 200),
    ],
)
def test_a_fault_has_its_status_and_effect(
    work: Work, kind: str, status: int, moved: int, then: int
) -> None:
    work.break_(kind)
    assert work.send().status == status
    assert work.moved() == moved
    assert work.send().status == then


@pytest.mark.parametrize("kind", ["html", "empty_object"])
@pytest.mark.parametrize("executes", [True, False])
def test_a_200_without_an_object(work: Work, kind: str, executes: bool) -> None:
    work.break_(kind, executes=executes)
    assert work.send().status == 200
    assert work.moved() == (500 if executes else 0)


def test_a_late_object_appears_with_the_time_of_its_request() -> None:
    work = Work("refund")
    work.break_("late_object", seconds=60)
    sent_at = int(work.shop.now)
    work.send()
    work.shop.now += 30
    second = work.shop.refunded(work.intent, amount=1)
    work.shop.now += 30
    listed = work.shop.get(REFUNDS, {"payment_intent": work.intent["id"]}).json()["data"]
    assert [each["amount"] for each in listed] == [1, 500]
    assert (listed[1]["created"], listed[0]["id"]) == (sent_at, second["id"])


def test_a_late_capture_takes_the_money_later() -> None:
    work = Work("capture")
    work.break_("late_object", seconds=60)
    work.send()
    assert work.shop.status(work.intent["id"]) == "requires_capture"
    work.shop.now += 60
    assert work.shop.intent(work.intent["id"])["amount_received"] == 500


def test_a_forgotten_key_refunds_again() -> None:
    work = Work("refund")
    work.send()
    work.shop.now += DAY
    assert "Idempotent-Replayed" not in work.send().headers
    assert work.moved() == 1000


def test_a_forgotten_key_cannot_capture_again() -> None:
    work = Work("capture")
    work.send()
    work.shop.now += DAY
    assert error(work.send())["code"] == "payment_intent_unexpected_state"


def test_a_key_in_flight_gets_409(work: Work) -> None:
    body = urlencode(work.params).encode()
    started = work.shop.sandbox.begin("POST", work.path, work.shop.headers(**KEY), body)
    assert isinstance(started, Execution)
    assert error(work.send())["code"] == "idempotency_key_in_use"
    assert work.moved() == 0
    assert work.shop.sandbox.finish(started).status == 200
    assert (work.send().status, work.moved()) == (200, 500)


def test_a_rejection_is_saved_under_its_key(work: Work) -> None:
    too_much = {"amount" if work.path == REFUNDS else "amount_to_capture": 2000}
    assert work.send(**too_much).status == 400
    assert work.send(**too_much).headers["Idempotent-Replayed"] == "true"


def test_an_order_id_selects_the_refunds_of_an_order() -> None:
    work = Work("refund")
    work.shop.sandbox.faults.order(FaultOrder("error_503", Match(order_id="B-")))
    assert work.send().status == 200
