"""A PaymentIntent that Stripe no longer has: deleted test data, or another account's key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import (
    Changed,
    GatewayFailed,
    Misconfigured,
    NoLongerOpen,
    NotFound,
    PaymentError,
)
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.key_store.contract import Order
from payment_service.payments.changes.free import check_missing, free_order
from payment_service.payments.changes.orders import Orders
from payment_service.payments.record import transitions
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.reconcile import Reconciler
from payment_service.payments.request.existing_order import (
    CancelRequest,
    OrderRequest,
    UpdateRequest,
)
from sandbox.dashboard import delete_intent
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.sandbox_transport import SandboxTransport

DAY = 86_400.0


class Bench(AfterBench):
    """A bench in either mode, whose test data can be deleted and whose key can change."""

    livemode = False

    def delete(self, *intent_ids: str) -> None:
        for intent_id in intent_ids:
            delete_intent(self.sandbox, intent_id)

    def use_key(self, api_key: str) -> None:
        """Restart the service with another key, on the same store."""
        gateway = StripeGateway(
            api_key,
            SandboxTransport(self.sandbox, self._step),
            policy=RetryPolicy(sleep=self.sleep, uniform=lambda _, high: high),
            clock=lambda: self.now,
        )
        self.context = replace(self.context, gateway=gateway)
        self.orders = Orders(self.context, livemode=self.livemode, budget_seconds=BUDGET_SECONDS)

    def order(self) -> Order:
        return Order(self.livemode, None, "A-1")

    def wanted(self, order_id: str = "A-1", amount: int = 1099, **more: Any) -> Any:
        wanted = super().wanted(order_id, amount, **more)
        return replace(wanted, order=replace(wanted.order, livemode=self.livemode))

    def record(self, order_id: str = "A-1") -> Any:
        return self.records.read(Order(self.livemode, None, order_id))

    def refresh(self) -> Any:
        return self.orders.status(OrderRequest(order_id="A-1"), refresh=True)

    def whats(self) -> list[str]:
        return [each["what"] for each in self.record().follow_up.history]

    def free(self, reason: str = "deleted") -> None:
        deadline = Deadline.after(BUDGET_SECONDS, lambda: self.now)
        free_order(self.context, check_missing(self.context, self.order(), deadline), reason)


class LiveBench(Bench):
    """The same in live mode."""

    livemode = True

    def __init__(self) -> None:
        super().__init__()
        self.use_key("sk_live_sandbox")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def live() -> LiveBench:
    return LiveBench()


# Test mode: the attempt is over.


@pytest.mark.parametrize("age", [0.0, 2 * DAY])
def test_order_whose_intent_was_deleted_is_created_again(bench: Bench, age: float) -> None:
    first = bench.ask().intent.id
    bench.delete(first)
    bench.now += age
    made = bench.ask()
    assert (made.intent.id != first, made.replayed) == (True, False)
    assert bench.payable() == [made.intent.id] == [bench.ask().intent.id]
    assert (bench.record().attempt, bench.whats()[2]) == (2, "gone")
    bench.deliver()
    assert bench.shop.types() == ["order.canceled"]


def test_canceling_a_deleted_intent_frees_the_order_for_any_amount(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.delete(first)
    assert (bench.cancel().id, bench.cancel().status) == (first, "canceled")
    assert bench.record().payment_status == "canceled"
    made = bench.ask(amount=2000).intent.id
    assert bench.payable() == [made]


def test_updating_a_deleted_intent_says_that_it_is_canceled(bench: Bench) -> None:
    bench.delete(bench.ask().intent.id)
    for _ in range(2):
        with pytest.raises(NoLongerOpen) as raised:
            bench.update(2000)
        assert raised.value.code == "payment_canceled"
    bench.cancel()
    bench.ask(amount=2000)


def update(bench: Bench) -> None:
    with suppress(NoLongerOpen):
        bench.update(2000)


@pytest.mark.parametrize("step", range(len(Bench.steps_of(update, Bench.ask))))
def test_intent_deleted_during_an_update_leaves_nothing_pending(bench: Bench, step: int) -> None:
    first = bench.ask().intent.id
    with bench.meanwhile(step, partial(bench.delete, first)):
        update(bench)
    assert bench.record().follow_up.pending is None
    bench.cancel()
    assert bench.payable() == []


@pytest.mark.parametrize("step", range(len(Bench.steps_of(Bench.cancel, Bench.ask))))
def test_intent_deleted_during_a_cancellation_is_canceled(bench: Bench, step: int) -> None:
    first = bench.ask().intent.id
    with bench.meanwhile(step, partial(bench.delete, first)):
        assert bench.cancel().status == "canceled"
    assert bench.record().payment_status == "canceled"


def test_refreshed_status_of_a_deleted_intent_is_canceled(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.delete(first)
    assert [bench.refresh().status for _ in range(3)] == ["canceled"] * 3
    assert bench.whats() == ["claimed", "created", "gone"]
    entry = bench.record().follow_up.history[-1]
    assert (entry["payment_intent_id"], entry["status"]) == (first, "canceled")


def test_updated_price_of_a_deleted_intent_is_not_asked_again(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.update(2000)
    bench.delete(first)
    assert bench.refresh().amount == 2000
    assert bench.ask(amount=1099).intent.amount == 1099


def test_paid_order_stays_paid_when_its_intent_is_deleted(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.pay(first)
    assert bench.refresh().status == "succeeded"
    bench.delete(first)
    for work in (bench.ask, bench.cancel, partial(bench.update, 2000)):
        with pytest.raises(NoLongerOpen) as raised:
            work()
        assert raised.value.code == "payment_succeeded"
    assert bench.refresh().paid
    assert bench.made() == []
    bench.free()
    made = bench.ask().intent.id
    assert bench.payable() == [made]
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]


def test_next_request_repairs_a_crash_at_any_step(bench: Bench) -> None:
    step, crashed = 0, True
    while crashed:
        order_id = f"C-{step}"
        bench.delete(bench.ask(order_id).intent.id)
        crashed = bench.crashing(step, partial(bench.ask, order_id))
        bench.now += 60
        given = bench.ask(order_id).intent.id
        assert bench.payable(order_id) == [given]
        step += 1
    assert step > 8


def test_failed_next_attempt_is_resolved_by_the_next_request(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.delete(first)
    bench.break_creation("error_500_without_object", count=None)
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.sandbox.faults.clear()
    bench.now += 60
    made = bench.ask().intent.id
    assert bench.payable() == [made]


def nothing(_: Bench) -> None:
    pass


def lost_creation(bench: Bench) -> None:
    """Let Stripe create the order, and lose its answer."""
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    bench.now += 60


@pytest.mark.parametrize(
    ("before", "step"),
    [
        (before, step)
        for before in (nothing, lost_creation)
        for step in range(len(Bench.steps_of(Bench.ask, before)))
    ],
)
def test_data_deleted_at_any_step_of_a_creation_leaves_no_order_stuck(
    bench: Bench, before: Callable[[Bench], None], step: int
) -> None:
    before(bench)
    with bench.meanwhile(step, lambda: bench.delete(*bench.payable())):
        bench.ask()
    bench.now += 60
    given = bench.ask().intent.id
    assert bench.payable() == [given] == [bench.ask().intent.id]


def deleted(bench: Bench) -> None:
    bench.delete(bench.ask().intent.id)


@pytest.mark.parametrize("step", range(len(Bench.steps_of(Bench.ask, deleted))))
def test_two_requests_after_a_deletion_get_the_same_intent(bench: Bench, step: int) -> None:
    deleted(bench)
    given: list[str] = []
    with bench.meanwhile(step, lambda: given.append(bench.ask().intent.id)):
        given.append(bench.ask().intent.id)
    bench.now += 60
    last = bench.ask().intent.id
    assert bench.payable() == [last]
    assert given == [last, last]


@pytest.mark.parametrize(
    "kind", ["error_503", "lost_after", "empty_object", "html", "not_found_404"]
)
def test_only_stripes_own_answer_ends_the_attempt(bench: Bench, kind: str) -> None:
    first = bench.ask().intent.id
    path = Match(method="GET", path=f"/v1/payment_intents/{first}")
    bench.sandbox.faults.order(FaultOrder(kind, path, count=None))
    with pytest.raises(PaymentError):
        bench.ask()
    bench.sandbox.faults.clear()
    assert bench.ask().intent.id == first


# Another test account on the same store.


def test_each_account_has_one_payable_intent_however_often_keys_change(bench: Bench) -> None:
    mine = bench.ask().intent.id
    for _ in range(2):
        bench.use_key("sk_test_other")
        theirs = bench.ask().intent.id
        bench.use_key("sk_test_shop")
        assert bench.ask().intent.id == mine
    assert bench.payable() == [mine, theirs]


def test_intent_of_another_price_is_canceled_when_its_account_is_back(bench: Bench) -> None:
    mine = bench.ask().intent.id
    bench.use_key("sk_test_other")
    bench.ask()
    bench.use_key("sk_test_shop")
    bench.cancel()
    again = bench.ask(amount=2000).intent.id
    assert mine not in bench.payable()
    assert again in bench.payable()


def test_intent_that_is_back_is_shown_as_it_is(bench: Bench) -> None:
    mine = bench.ask().intent.id
    bench.use_key("sk_test_other")
    assert bench.refresh().status == "canceled"
    bench.use_key("sk_test_shop")
    bench.pay(mine)
    assert bench.apply_all()[-1] == "applied"
    assert bench.refresh().status == "succeeded"
    assert bench.ask().intent.status == "succeeded"
    assert bench.payable() == [mine]


# Events, the reconciler, late look-ups, strays.


def test_event_about_a_deleted_recorded_intent_is_applied(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.pay(first)
    (event,) = [each for each in bench.events() if each["type"].endswith("succeeded")]
    bench.delete(first)
    assert [bench.apply(event), bench.apply(event)] == ["applied", "duplicate"]
    assert bench.record().payment_status == "canceled"


def stray(bench: Bench) -> tuple[str, dict[str, Any]]:
    bench.ask()
    other = bench.stray("A-1")
    return other, bench.events()[-1]


@pytest.mark.parametrize(
    "step", range(len(Bench.steps_of(lambda bench: bench.apply(bench.events()[-1]), stray)))
)
def test_stray_deleted_while_it_is_settled_is_gone(bench: Bench, step: int) -> None:
    other, event = stray(bench)
    with bench.meanwhile(step, partial(bench.delete, other)):
        assert bench.apply(event) in ("not_ours", "gone", "stray_canceled")


@pytest.mark.parametrize("step", range(len(Bench.steps_of(Bench.reconcile, stray))))
def test_reconciler_passes_a_stray_that_is_deleted_meanwhile(bench: Bench, step: int) -> None:
    other, _ = stray(bench)
    with bench.meanwhile(step, partial(bench.delete, other)):
        assert "unresolved" not in bench.reconcile()


def test_late_look_up_passes_a_stray_that_search_still_shows(bench: Bench) -> None:
    bench.ask()
    other = bench.stray("A-1")
    bench.now += 2 * DAY
    late = transitions.amended(bench.record(), look_ups=(bench.now,), look_since=bench.now - DAY)
    assert bench.records.replace(bench.record(), late)
    look_ups = LateLookUps(bench.context, lambda _: bench.context, BUDGET_SECONDS)
    (due,) = look_ups.due(10)
    with bench.meanwhile(5, partial(bench.delete, other)):
        assert look_ups.run(due)


def test_reconciler_records_a_deleted_intent_of_a_slow_rail(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.send(
        f"/v1/payment_intents/{first}/confirm",
        {"payment_method": "pm_usBankAccount", "return_url": "https://shop.example"},
    )
    assert bench.refresh().status == "processing"
    bench.delete(first)
    assert bench.reconcile()["noted"] == 1
    assert bench.record().payment_status == "canceled"


def test_paid_stray_beside_a_deleted_paid_intent_is_two_paid(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.pay(first)
    bench.refresh()
    other = bench.stray("A-1")
    bench.pay(other)
    paid = bench.events()[-1]
    bench.delete(first)
    assert bench.apply(paid) == "two_paid"


def test_key_that_replays_a_deleted_intent_is_followed_by_the_next(bench: Bench) -> None:
    first = bench.ask().intent.id
    bench.delete(first)
    assert bench.records.forget(bench.record())
    made = bench.ask().intent.id
    assert bench.payable() == [made] == [bench.ask().intent.id]
    assert bench.record().attempt == 2


# Live mode: nothing is created until a person has looked.


def every_way(bench: Bench) -> list[Callable[[], object]]:
    return [
        bench.ask,
        bench.refresh,
        lambda: bench.orders.update(UpdateRequest(order_id="A-1", amount=2000)),
        lambda: bench.orders.cancel(CancelRequest(order_id="A-1")),
    ]


def test_live_order_stops_and_names_the_command(live: LiveBench) -> None:
    live.delete(live.ask().intent.id)
    record = live.record()
    for work in every_way(live):
        with pytest.raises(Misconfigured, match="orders free"):
            work()
    assert (live.record(), live.made()) == (record, [])


def test_live_event_about_an_unknown_recorded_intent_comes_again(live: LiveBench) -> None:
    first = live.ask().intent.id
    live.pay(first)
    (event,) = [each for each in live.events() if each["type"].endswith("succeeded")]
    live.delete(first)
    with pytest.raises(Misconfigured):
        live.apply(event)
    assert live.record().payment_status == "requires_payment_method"


def test_reconciler_leaves_a_live_order_unresolved(live: LiveBench) -> None:
    first = live.ask().intent.id
    held = replace(live.record(), payment_status="processing", version=live.record().version + 1)
    assert live.records.replace(live.record(), held)
    live.delete(first)
    run = Reconciler(live.context, livemode=True, budget_seconds=25)
    list(run.steps(live.now - DAY))
    assert run.tally.unresolved == 1
    assert live.record() == held


def test_live_search_that_names_an_unknown_intent_is_a_failure(live: LiveBench) -> None:
    live.ask()
    live.now += 2 * DAY
    since = live.now - 3 * DAY
    deadline = Deadline.after(5, lambda: live.now)
    with (
        live.meanwhile(1, lambda: live.delete(live.made()[0]["id"])),
        pytest.raises(GatewayFailed),
    ):
        live.context.gateway.find(live.order(), since, deadline, since)


def test_freed_live_order_is_created_again(live: LiveBench) -> None:
    first = live.ask().intent.id
    live.delete(first)
    live.free("a wrong key")
    assert live.refresh().status == "canceled"
    assert live.record().follow_up.history[-1] == {
        "at": live.now,
        "what": "freed",
        "status": "canceled",
        "payment_intent_id": first,
        "reason": "a wrong key",
    }
    made = live.ask(amount=2000).intent.id
    assert live.payable() == [made] == [live.ask(amount=2000).intent.id]


def test_freed_order_takes_the_intent_that_its_account_has(live: LiveBench) -> None:
    live.delete(live.ask().intent.id)
    live.free()
    other = live.context.gateway.create(live.wanted().sent, "by-hand", Deadline.after(5)).intent  # type: ignore[union-attr]
    assert live.ask().intent.id == other.id
    assert live.payable() == [other.id]


def test_nothing_is_freed_while_stripe_shows_the_intent(bench: Bench) -> None:
    first = bench.ask().intent.id
    for status, advice in (("requires_payment_method", "Cancel it"), ("succeeded", "is paid")):
        record = bench.record()
        with pytest.raises(Changed, match=f"{first} with the status {status}.*{advice}"):
            bench.free()
        assert bench.record() == record
        bench.pay(first) if status != "succeeded" else None


def test_nothing_is_freed_without_a_recorded_intent(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.free()
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    with pytest.raises(Changed):
        bench.free()


def test_nothing_is_freed_without_stripes_own_answer(bench: Bench) -> None:
    first = bench.ask().intent.id
    path = Match(method="GET", path=f"/v1/payment_intents/{first}")
    bench.sandbox.faults.order(FaultOrder("lost_before", path, count=None))
    with pytest.raises(GatewayFailed):
        bench.free()
