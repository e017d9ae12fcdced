"""Regression tests: schedules in which the explorer found the promise broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, StoreDown
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.changes.update import update_order
from payment_service.payments.creation.create import create_once
from payment_service.payments.request.existing_order import UpdateRequest
from sandbox.faults import FaultOrder, Match
from tests.support.flow_bench import FlowBench
from tests.support.sandbox_in_process import INTENTS
from tests.support.sandbox_transport import SandboxTransport

HEADERS = {"authorization": "Bearer sk_test_shop"}
RETRIEVE = Match(method="GET", path="/v1/payment_intents/")
CANCEL = Match(method="POST", path="/v1/payment_intents/")
LATE = b"amount=1099&currency=usd&metadata[order_id]=A-1"


class DownAtTheEnd(MemoryStore):
    """A store that accepts claims, and fails other writes while `down`; reports each write."""

    down = False
    about_to_keep: Callable[[KeyRecord], None] = staticmethod(lambda _: None)

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        if self.down:
            raise StoreUnavailable("down")
        self.about_to_keep(new)
        return super().replace(current, new)


def test_unrecorded_rejection_does_not_block_the_next_request() -> None:
    store = DownAtTheEnd()
    bench = FlowBench(store)
    store.down = True
    with pytest.raises(StoreDown):
        bench.ask(amount=10)
    store.down = False
    bench.now += 60
    # The next request, with corrected parameters, is not blocked by the saved rejection.
    assert bench.ask(amount=1099).intent.id == bench.payable()[0]
    assert bench.record().attempt == 2


@pytest.fixture
def given_out_unrecorded() -> FlowBench:
    """Rule 9, then a late PaymentIntent, then a day: the older one's secret was returned."""
    store = DownAtTheEnd()
    bench = FlowBench(store)
    store.down = True
    bench.ask()
    store.down = False
    bench.now += 60
    assert bench.sandbox.handle("POST", INTENTS, HEADERS, LATE).status == 200
    bench.now += 25 * 3600
    assert len(bench.payable()) == 2
    return bench


def test_recorded_intent_is_the_only_payable_one(given_out_unrecorded: FlowBench) -> None:
    bench, store = given_out_unrecorded, given_out_unrecorded.store
    assert isinstance(store, DownAtTheEnd)
    payable_then: dict[str | None, list[str]] = {}

    def note(new: KeyRecord) -> None:
        if new.state == "created":
            payable_then[new.payment_intent_id] = bench.payable()

    store.about_to_keep = note
    answer = bench.ask()
    assert payable_then == {answer.intent.id: [answer.intent.id]}


def test_uncancelable_stray_keeps_the_order_unknown(
    given_out_unrecorded: FlowBench,
) -> None:
    bench = given_out_unrecorded
    bench.sandbox.faults.order(FaultOrder("error_503", CANCEL, count=None))
    with pytest.raises(GatewayFailed):
        bench.ask()
    assert (bench.record().state, len(bench.payable())) == ("pending", 2)
    bench.sandbox.faults.clear()
    answer = bench.ask()
    assert bench.payable() == [answer.intent.id] == [bench.record().payment_intent_id]


def test_paid_stray_becomes_the_orders_own(given_out_unrecorded: FlowBench) -> None:
    bench = given_out_unrecorded
    elder = bench.made()[0]["id"]
    body = b"payment_method=pm_card_visa&return_url=https://shop.example"
    assert bench.sandbox.handle("POST", f"{INTENTS}/{elder}/confirm", HEADERS, body).status == 200
    answer = bench.ask()
    assert (answer.intent.id, answer.intent.status) == (elder, "succeeded")
    assert bench.payable() == [elder]


def test_key_is_not_resent_after_a_day_of_suspension() -> None:
    store = DownAtTheEnd()
    bench = FlowBench(store)
    store.down = True
    first = bench.ask()
    store.down = False
    bench.now += 60
    bench.break_creation("lost_after")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        bench.now += seconds if slept else 25 * 3600
        slept.append(seconds)

    gateway = StripeGateway(
        "sk_test_shop",
        SandboxTransport(bench.sandbox),
        policy=RetryPolicy(sleep=sleep),
        clock=lambda: bench.now,
    )
    # Monotonic time does not advance while a machine is suspended.
    deadline = Deadline(25.0, lambda: 0.0)
    with pytest.raises(GatewayFailed):
        create_once(replace(bench.context, gateway=gateway), bench.wanted(), deadline)
    assert slept
    assert bench.ask().intent.id == first.intent.id
    assert bench.payable() == [first.intent.id]


class LosesItsAnswer(MemoryStore):
    """A store that writes the order's PaymentIntent, and then reports a failure, once."""

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        kept = super().replace(current, new)
        if current.state == "pending" and new.state == "created":
            raise StoreUnavailable("lost")
        return kept


def test_replay_never_returns_an_intent_with_a_changed_amount() -> None:
    bench = FlowBench(LosesItsAnswer())
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    # The replay fetches the PaymentIntent's current state, and Stripe responds slowly.
    bench.sandbox.faults.order(FaultOrder("error_503", RETRIEVE, count=1))
    request = UpdateRequest(order_id="A-1", amount=2000)

    def update(_: float) -> None:
        bench.on_sleep = lambda _: None
        deadline = Deadline.after(25.0, lambda: bench.now)
        assert update_order(bench.another(), bench.wanted().order, request, deadline)

    bench.on_sleep = update
    with pytest.raises(StoreDown):
        bench.ask(amount=1099)
    assert bench.ask(amount=2000).intent.amount == 2000
