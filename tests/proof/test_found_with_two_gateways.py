"""Regression tests: schedules with two gateways in which the explorer found the promise broken."""

from __future__ import annotations

import pytest

from payment_service.errors import OrderReused
from payment_service.gateways.deadline import Deadline
from payment_service.key_store.contract import KeyRecord
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.changes.update import update_order
from payment_service.payments.request.existing_order import UpdateRequest
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.switch_bench import TwoGateways


class Remembering(MemoryStore):
    """A store that can go back to any version of its one record."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[KeyRecord] = []

    def _put(self, record: KeyRecord) -> None:
        super()._put(record)
        self.versions.append(record)


@pytest.fixture
def store() -> Remembering:
    return Remembering()


@pytest.fixture
def bench(store: Remembering) -> TwoGateways:
    return TwoGateways(store)


def switched(bench: TwoGateways) -> str:
    """Return the id of an order that Stripe's silence brought to PayPal; Stripe is well again."""
    bench.silence_stripe("lost_after")
    created = bench.ask()
    bench.heal_stripe()
    assert created.gateway == "paypal"
    return created.intent.id


def go_back_to_switch(bench: TwoGateways, store: Remembering) -> None:
    store._put(next(each for each in store.versions if each.attempt == 2))
    bench.now += 60


def test_captured_order_is_found_after_the_store_went_back_to_the_switch(
    bench: TwoGateways, store: Remembering
) -> None:
    order_id = switched(bench)
    bench.approve(order_id)
    assert bench.ask().intent.status == "succeeded"
    go_back_to_switch(bench, store)
    again = bench.ask()
    assert (again.intent.id, again.intent.status) == (order_id, "succeeded")
    assert bench.payable() == []


def test_order_leaves_a_second_gateway_that_does_not_answer(
    bench: TwoGateways, store: Remembering
) -> None:
    switched(bench)
    go_back_to_switch(bench, store)
    bench.break_paypal("lost_before")
    created = bench.ask()
    assert created.gateway == "stripe"
    assert bench.payable() == [created.intent.id]


def test_approval_is_not_shown_to_a_request_of_another_price(bench: TwoGateways) -> None:
    switched(bench)
    deadline = Deadline.after(BUDGET_SECONDS, lambda: bench.now)
    request = UpdateRequest(order_id="A-1", amount=2000)
    updated = update_order(bench.context, bench.wanted().order, request, deadline)
    bench.approve(updated.intent.id)
    with pytest.raises(OrderReused):
        bench.ask(amount=1099)
    assert bench.captured() == []
    assert bench.ask(amount=2000).intent.status == "succeeded"
