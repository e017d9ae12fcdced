"""The flow does not skip a key with no saved answer: a lost record would use it again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, PaymentError, Refused
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Declined, KeyMisused, Made, Outcome, Unclear
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.facts import STRIPE
from payment_service.gateways.stripe.intents import UnreadableIntent, read_intent
from payment_service.gateways.stripe.verdicts import judge
from payment_service.key_store.contract import Order
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.context import Context, Timing
from payment_service.payments.creation.create import create_once
from payment_service.payments.creation.states import Created
from payment_service.payments.record.follow_up import OrderEvent
from payment_service.payments.record.records import Records
from payment_service.payments.record.transitions import Wanted
from payment_service.payments.recovery.late_intents import LateLookUps

ORDER = Order(livemode=False, client_id=None, order_id="A-1")
WRONG, RIGHT = 10, 1099


class KeyedStripe:
    """A gateway with Stripe's rules for keys.

    `next` are the coming answers: "invalid" is not saved, "declined" is saved, and "lost" does
    nothing and does not answer.
    """

    api_version = "2026-10-28.endive"
    facts = STRIPE

    def __init__(self) -> None:
        self.next: list[str] = []
        self.saved: dict[str, tuple[Mapping[str, Any], Outcome]] = {}
        self.made: dict[str, Intent] = {}
        self._numbers = itertools.count(1)

    def create(self, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        said = self._said(key)
        if said == "lost":
            return Unclear(GatewayFailed("lost"), saved_5xx=False)
        if said == "invalid":
            return Declined(Refused("no", code="resource_missing"), replayed=False)
        if key in self.saved:
            params, answer = self.saved[key]
            if params != sent.params:
                return KeyMisused(GatewayFailed("idempotency_error"))
            if isinstance(answer, Made):
                return Made(answer.intent, replayed=True)
            assert isinstance(answer, Declined)
            return Declined(answer.error, replayed=True)
        answer = self._made(sent) if said == "made" else Declined(Refused("no"), replayed=False)
        self.saved[key] = (sent.params, answer)
        return answer

    def retrieve(self, intent_id: str, deadline: Deadline) -> Intent:
        return self.made[intent_id]

    def find(
        self, order: Order, since: float, deadline: Deadline, sent_until: float | None = None
    ) -> list[Intent]:
        return [each for each in self.made.values() if each.is_of(order)]

    def cancel(self, intent_id: str, reason: str, deadline: Deadline) -> Intent | None:
        raise AssertionError("nothing is to be canceled here")

    def _said(self, key: str) -> str:
        """Return the next answer; a saved key consumes only those given before the key check."""
        if self.next and (key not in self.saved or self.next[0] in ("lost", "invalid")):
            return self.next.pop(0)
        return "made"

    def _made(self, sent: SentParams) -> Made:
        number = next(self._numbers)
        intent = read_intent(
            {
                "id": f"pi_{number}",
                "object": "payment_intent",
                "client_secret": f"pi_{number}_secret_x",
                "status": "requires_payment_method",
                "created": number,
                **sent.params,
            }
        )
        self.made[intent.id] = intent
        return Made(intent, replayed=False)


class Shop:
    """A shop that requests the order; tests can lose its store and advance its clock."""

    def __init__(self) -> None:
        self.stripe, self.records, self.now = KeyedStripe(), Records(MemoryStore()), 1_000_000.0

    def ask(self, amount: int) -> Created:
        params = {"amount": amount, "currency": "usd", "metadata": {"order_id": "A-1"}}
        sent = SentParams(self.stripe.api_version, params)
        context = Context(
            self.records,
            self.stripe,  # type: ignore[arg-type]
            Timing(35.0, 2.0),
            clock=lambda: self.now,
            sleep=lambda _: None,
        )
        return create_once(context, Wanted(ORDER, str(amount), sent), Deadline.after(25))


@pytest.mark.parametrize("no", ["invalid", "declined"])
@pytest.mark.parametrize("noes", [1, 2])
def test_lost_store_after_a_correction_makes_no_second_intent(no: str, noes: int) -> None:
    shop = Shop()
    shop.stripe.next = [no] * noes
    for _ in range(noes):
        with pytest.raises(Refused):
            shop.ask(WRONG)
    first = shop.ask(RIGHT).intent
    shop.records = Records(MemoryStore())
    assert shop.ask(RIGHT).intent.id == first.id
    assert list(shop.stripe.made) == [first.id]


def test_saved_rejection_does_not_block_the_correction_retry() -> None:
    shop = Shop()
    shop.stripe.next = ["declined", "lost"]
    for amount in (WRONG, RIGHT):
        with pytest.raises(PaymentError):
            shop.ask(amount)
    assert shop.ask(RIGHT).intent.amount == RIGHT


@pytest.mark.parametrize(
    ("status", "headers", "saved"),
    [
        (503, {"stripe-should-retry": "false"}, False),
        (500, {"stripe-should-retry": "false"}, True),
        (500, {"idempotent-replayed": "true"}, True),
        (500, {}, False),
    ],
)
def test_only_a_final_500_or_a_replay_counts_as_saved(
    status: int, headers: dict[str, str], *, saved: bool
) -> None:
    assert judge(status, headers, "api_error").saved_5xx is saved


@pytest.mark.parametrize("wait", ["inf", "1e999", "nan", "-inf"])
def test_infinite_retry_after_is_ignored(wait: str) -> None:
    assert judge(429, {"retry-after": wait}, None).retry_after_seconds is None


@pytest.mark.parametrize("change", [{"object": "charge"}, {"id": "pi_\ud800"}])
def test_malformed_payment_intent_is_not_accepted(change: dict[str, str]) -> None:
    with pytest.raises(UnreadableIntent):
        read_intent({"id": "pi_1", "client_secret": "pi_1_secret_1", **change})


def test_takeover_needs_time_for_the_store() -> None:
    shop = Shop()
    shop.stripe.next = ["lost"]
    with pytest.raises(GatewayFailed):
        shop.ask(RIGHT)
    record = shop.records.read(ORDER)
    assert record is not None
    # One store operation may take 2 s: the result of a new attempt would be stored too late.
    slow = Context(shop.records, shop.stripe, Timing(35.0, 2.0), clock=lambda: shop.now)  # type: ignore[arg-type]
    with pytest.raises(PaymentError) as told:
        create_once(slow, Wanted(ORDER, str(RIGHT), record.sent), Deadline.after(3.9))
    assert told.value.code == "in_flight"
    assert shop.stripe.made == {}


def test_undelivered_events_do_not_hide_a_late_look() -> None:
    shop = Shop()
    kept = shop.records
    event = OrderEvent("evt", "order.paid", 1.0, {}, next_at=5.0, until=9e9)
    shop.ask(RIGHT)
    record = kept.read(ORDER)
    assert record is not None
    for number in range(300):
        other = Order(livemode=False, client_id=None, order_id=f"E-{number}")
        waiting = record.with_follow_up(queue=(event,))
        kept.claim(replace(waiting, order=other))
    looked_at = Order(livemode=False, client_id=None, order_id="L-1")
    kept.claim(replace(record.with_follow_up(look_ups=(15.0,)), order=looked_at))
    context = Context(kept, shop.stripe, Timing(35.0, 2.0), clock=lambda: 1000.0)  # type: ignore[arg-type]
    found = LateLookUps(context, lambda _: context, 25.0).due(200)
    assert [each.order.order_id for each in found] == ["L-1"]
