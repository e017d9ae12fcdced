"""The effect of each Stripe event on an order: once, in any sequence, never backwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from payment_service.errors import GatewayFailed, InFlight, NotFound, StoreDown
from payment_service.gateways.event import PaymentEvent
from payment_service.key_store.contract import Order, StoreUnavailable
from payment_service.payments.record.alarms import STRAY_PAID
from payment_service.payments.record.history import TWO_PAID
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.strays import GONE, STRAY_CANCELED
from payment_service.payments.request.existing_order import OrderRequest
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench, Crash
from tests.support.sandbox_in_process import INTENTS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "after-creation.md"

DAY = 86_400.0


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


def paid(bench: AfterBench, order_id: str = "A-1") -> str:
    intent_id = bench.ask(order_id).intent.id
    bench.pay(intent_id)
    return intent_id


def last(bench: AfterBench, kind: str) -> dict[str, Any]:
    return [each for each in bench.events() if each["type"] == f"payment_intent.{kind}"][-1]


def apply_last(bench: AfterBench) -> str:
    return bench.apply(bench.events()[-1])


def test_paid_order_is_reported_once(bench: AfterBench) -> None:
    intent_id = paid(bench)
    assert bench.apply_all() == ["known", "applied"]
    assert bench.record().payment_status == "succeeded"
    assert bench.deliver() == 1
    assert bench.shop.types() == ["order.paid"]
    told = bench.shop.bodies[0]["data"]["object"]
    assert (told["order_id"], told["payment_intent_id"]) == ("A-1", intent_id)
    assert (told["amount"], told["currency"], told["status"]) == (1099, "usd", "succeeded")
    assert "client_secret" not in str(bench.shop.bodies)


def test_payment_found_by_a_repeated_creation_is_reported(bench: AfterBench) -> None:
    paid(bench)
    assert bench.ask().intent.status == "succeeded"
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]
    assert bench.apply_all() == ["known", "applied"]
    assert bench.deliver() == 0


def test_repeated_event_changes_nothing(bench: AfterBench) -> None:
    paid(bench)
    bench.apply_all()
    before = bench.record()
    assert bench.apply(last(bench, "succeeded")) == "duplicate"
    assert bench.record() == before


def test_twin_event_is_not_reported_twice(bench: AfterBench) -> None:
    paid(bench)
    bench.apply_all()
    bench.apply({**last(bench, "succeeded"), "id": "evt_twin"})
    bench.deliver()
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]


def test_late_failure_does_not_undo_a_payment(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    bench.fail(intent_id)
    bench.pay(intent_id)
    bench.apply(last(bench, "succeeded"))
    bench.apply(last(bench, "payment_failed"))
    assert bench.record().payment_status == "succeeded"
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]


def test_failed_payments_are_reported_and_can_be_retried(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    for _ in range(2):
        bench.fail(intent_id)
        bench.apply(last(bench, "payment_failed"))
    bench.pay(intent_id)
    bench.apply(last(bench, "succeeded"))
    for _ in range(3):
        bench.deliver()
    assert bench.shop.types() == ["order.failed", "order.failed", "order.paid"]


def test_order_can_be_paid_again_after_a_late_debit_failure(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    confirm = {
        "payment_method": "pm_usBankAccount_insufficientFunds",
        "return_url": "https://shop.example/done",
    }
    bench.send(f"/v1/payment_intents/{intent_id}/confirm", confirm)
    bench.apply(last(bench, "processing"))
    assert bench.record().payment_status == "processing"
    assert bench.ask().intent.status == "processing"
    assert bench.deliver() == 0
    bench.now += 4 * DAY
    bench.sandbox.settle()
    bench.apply(last(bench, "payment_failed"))
    assert bench.record().payment_status == "requires_payment_method"
    again = bench.ask()
    assert (again.intent.id, again.intent.status) == (intent_id, "requires_payment_method")
    bench.deliver()
    assert bench.shop.types() == ["order.failed"]


def test_canceled_order_is_reported(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    bench.send(f"/v1/payment_intents/{intent_id}/cancel", {})
    bench.apply(last(bench, "canceled"))
    bench.deliver()
    assert bench.shop.types() == ["order.canceled"]
    assert bench.ask().intent.id != intent_id
    assert bench.record().attempt == 2


def test_event_of_the_other_mode_changes_nothing(bench: AfterBench) -> None:
    paid(bench)
    before = bench.record()
    assert bench.apply({**last(bench, "succeeded"), "livemode": True}) == "ignored"
    assert bench.record() == before


def test_event_that_only_claims_a_mode_changes_nothing(bench: AfterBench) -> None:
    """Stripe's own object decides, not the mode in the event."""
    intent_id = paid(bench)
    live = Order(livemode=True, client_id=None, order_id="A-1")
    bench.orders.livemode = True
    event = PaymentEvent("evt_1", "payment_intent.succeeded", True, intent_id, live)
    assert bench.orders.apply(event) == "not_ours"
    assert bench.store.read(live) is None


@pytest.mark.parametrize(
    "event",
    [
        {"id": "evt_1", "type": "charge.refunded", "data": {"object": {"id": "ch_1"}}},
        {"id": "evt_1", "type": "payment_intent.succeeded"},
        {"id": "evt_1", "type": "payment_intent.succeeded", "data": []},
        {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}},
        {"id": "evt_1", "type": 7, "data": {"object": {"id": "pi_1", "metadata": {}}}},
        {},
    ],
)
def test_event_without_an_order_is_ignored(bench: AfterBench, event: dict[str, Any]) -> None:
    assert bench.apply(event) == "ignored"


def test_intent_unknown_to_stripe_is_not_ours(bench: AfterBench) -> None:
    bench.ask()
    subject = {"id": "pi_gone", "metadata": {"order_id": "A-1"}}
    event = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": subject}}
    assert bench.apply(event) == "not_ours"


def test_event_resolves_an_unknown_order(bench: AfterBench) -> None:
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()
    [made] = bench.payable()
    assert bench.apply(last(bench, "created")) == "known"
    assert (bench.record().state, bench.record().payment_intent_id) == ("created", made)
    assert bench.payable() == [made]


def test_created_event_leaves_an_order_in_flight_alone(bench: AfterBench) -> None:
    answers: list[str] = []
    with bench.meanwhile(4, lambda: answers.extend(bench.apply_all())):
        created = bench.ask()
    assert answers == ["in_flight"]
    assert bench.record().payment_intent_id == created.intent.id
    assert bench.seen[-1].what == "created"


def test_other_event_of_an_order_in_flight_is_deferred(bench: AfterBench) -> None:
    """A restarted service with an empty store gets a request for an order being paid."""
    lost = paid(bench)
    bench.store.forget(bench.record())
    answers: list[Exception] = []

    def arrive() -> None:
        with pytest.raises(InFlight) as raised:
            bench.apply(last(bench, "succeeded"))
        answers.append(raised.value)

    with bench.meanwhile(4, arrive):
        assert bench.ask().intent.id == lost
    assert len(answers) == 1
    bench.apply(last(bench, "succeeded"))
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]


def first_answer_lost(bench: AfterBench) -> None:
    bench.break_creation("lost_after")


@pytest.mark.parametrize("step", range(len(AfterBench.steps_of(AfterBench.ask, first_answer_lost))))
def test_event_at_any_step_of_a_creation_does_not_break_it(bench: AfterBench, step: int) -> None:
    """A PaymentIntent exists while the order is in flight."""
    first_answer_lost(bench)

    def arrive() -> None:
        for event in bench.events():
            bench.apply(event)

    with bench.meanwhile(step, arrive):
        created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert bench.record().payment_intent_id == created.intent.id


def canceled(bench: AfterBench) -> None:
    bench.ask()
    bench.cancel()


@pytest.mark.parametrize("step", range(len(AfterBench.steps_of(AfterBench.ask, canceled))))
def test_concurrent_note_does_not_delay_a_creation(bench: AfterBench, step: int) -> None:
    """The shop gets an event of the previous attempt while the next one is in flight."""
    canceled(bench)
    began = bench.now
    with bench.meanwhile(step, bench.deliver):
        created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert bench.now - began < 1
    assert bench.shop.types() == ["order.canceled"]


def canceled_and_broken(bench: AfterBench) -> None:
    canceled(bench)
    bench.break_creation("error_500_without_object", should_retry=False)


@pytest.mark.parametrize(
    "step", range(len(AfterBench.steps_of(AfterBench.ask, canceled_and_broken)))
)
def test_concurrent_note_does_not_delay_an_abandoned_attempt(bench: AfterBench, step: int) -> None:
    canceled_and_broken(bench)
    began = bench.now
    with bench.meanwhile(step, bench.deliver):
        created = bench.ask()
    assert bench.payable() == [created.intent.id]
    assert bench.now - began < 10


def test_stray_is_canceled(bench: AfterBench) -> None:
    own = bench.ask().intent.id
    stray = bench.stray("A-1")
    assert bench.apply(bench.events()[-1]) == "stray_canceled"
    assert bench.payable() == [own]
    assert stray != own


def late_stray(bench: AfterBench) -> None:
    """Let Stripe create a canceled order's PaymentIntent late, and lose its cancellation twice."""
    bench.break_creation("late_object", seconds=14.0)
    bench.break_creation("lost_before", skip=1, count=2)
    with pytest.raises(GatewayFailed):
        bench.ask_within(9.0)
    with pytest.raises(NotFound):
        bench.cancel()
    assert bench.record().state == "rejected"
    bench.now += 20
    bench.sandbox.settle()
    (late,) = bench.payable()
    bench.sandbox.faults.order(
        FaultOrder("lost_before", Match("POST", f"{INTENTS}/{late}/cancel"), count=2)
    )


@pytest.mark.parametrize("step", range(len(AfterBench.steps_of(apply_last, late_stray))))
def test_stray_being_canceled_is_never_adopted(bench: AfterBench, step: int) -> None:
    """A concurrent request gets a PaymentIntent that stays payable."""
    late_stray(bench)
    given: list[str] = []
    with bench.meanwhile(step, lambda: given.append(bench.ask().intent.id)):
        apply_last(bench)
    assert bench.payable() == given
    assert [bench.ask().intent.id] == bench.payable()


def test_stray_that_is_already_canceled_is_gone(bench: AfterBench) -> None:
    bench.ask()
    bench.stray("A-1")
    event = bench.events()[-1]
    assert [bench.apply(event), bench.apply(event)] == ["stray_canceled", "gone"]
    assert bench.apply(last(bench, "canceled")) == "gone"


@pytest.mark.parametrize("outcome", [GONE, STRAY_CANCELED, STRAY_PAID, TWO_PAID])
def test_documented_outcomes_include_those_of_strays(outcome: str) -> None:
    assert f"| 200 `{outcome}` |" in DOCUMENT.read_text("utf-8")


def paid_stray(bench: AfterBench) -> str:
    bench.ask()
    stray = bench.stray("A-1")
    bench.pay(stray)
    return stray


STEPS_OF_A_PAID_STRAY = AfterBench.steps_of(apply_last, paid_stray)


@pytest.mark.parametrize("step", range(len(STEPS_OF_A_PAID_STRAY)))
def test_paid_stray_leaves_no_room_for_another_intent(bench: AfterBench, step: int) -> None:
    stray = paid_stray(bench)
    answers: list[Any] = []
    with bench.meanwhile(step, lambda: answers.append(bench.ask().intent)):
        assert apply_last(bench) == "stray_paid"
    assert len(bench.made()) == 2
    assert bench.payable() == [stray]
    assert bench.ask().intent.status == "succeeded"


@pytest.mark.parametrize("step", range(len(STEPS_OF_A_PAID_STRAY)))
def test_crash_while_settling_a_paid_stray_leaves_none_to_pay(bench: AfterBench, step: int) -> None:
    stray = paid_stray(bench)
    event = last(bench, "succeeded")
    bench.crash(step, lambda: bench.apply(event))
    bench.ask()
    look_ups = LateLookUps(bench.context, lambda _: bench.context, 25.0)
    for seconds in (60.0, 3600.0):
        bench.now += seconds
        for record in look_ups.due(10):
            look_ups.run(record)
    bench.apply({**event, "id": "evt_again"})
    assert bench.payable() == [stray]


def test_late_object_of_a_saved_500_is_canceled(bench: AfterBench) -> None:
    bench.break_creation("late_object", seconds=60.0)
    own = bench.ask().intent.id
    bench.now += 120
    bench.sandbox.settle()
    assert len(bench.payable()) == 2
    assert "stray_canceled" in bench.apply_all()
    assert bench.payable() == [own]


def test_paid_stray_becomes_the_orders_own_with_an_alarm(bench: AfterBench) -> None:
    """A paid order must not be payable: the recorded PaymentIntent is canceled first."""
    own = bench.ask().intent.id
    stray = bench.stray("A-1")
    bench.pay(stray)
    assert bench.apply(last(bench, "succeeded")) == "stray_paid"
    assert bench.payable() == [stray] != [own]
    assert bench.record().payment_intent_id == stray
    assert "stray_paid" in bench.whats()
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]
    assert bench.ask().intent.id == stray


def test_two_payments_raise_an_alarm_and_are_recorded_once(bench: AfterBench) -> None:
    own = paid(bench)
    bench.apply_all()
    stray = bench.stray("A-1")
    bench.pay(stray)
    assert bench.apply(last(bench, "succeeded")) == "two_paid"
    before = bench.record()
    assert bench.apply({**last(bench, "succeeded"), "id": "evt_twin"}) == "two_paid"
    assert bench.record() == before
    assert bench.record().payment_intent_id == own
    assert bench.whats().count("two_taken") == 2


def test_paid_order_with_a_lost_record_is_recorded_and_reported(bench: AfterBench) -> None:
    intent_id = paid(bench)
    bench.store.forget(bench.record())
    assert bench.apply(last(bench, "succeeded")) == "adopted"
    assert bench.record().payment_intent_id == intent_id
    bench.deliver()
    assert bench.shop.types() == ["order.paid"]
    assert bench.ask().intent.status == "succeeded"


def test_unpaid_order_with_a_lost_record_is_left_alone(bench: AfterBench) -> None:
    bench.ask()
    bench.store.forget(bench.record())
    assert bench.apply_all() == ["unknown_order"]
    with pytest.raises(NotFound):
        bench.orders.status(OrderRequest(order_id="A-1"))


def test_event_that_failed_is_not_marked_as_seen(bench: AfterBench) -> None:
    paid(bench)
    bench.sandbox.faults.order(FaultOrder("error_503", Match(method="GET"), count=3))
    with pytest.raises(GatewayFailed):
        bench.apply(last(bench, "succeeded"))
    assert bench.apply(last(bench, "succeeded")) == "applied"


def test_store_outage_makes_stripe_resend_the_event(bench: AfterBench) -> None:
    paid(bench)

    def down() -> None:
        raise StoreUnavailable

    with bench.meanwhile(4, down), pytest.raises(StoreDown):
        bench.apply(last(bench, "succeeded"))
    assert bench.apply(last(bench, "succeeded")) == "applied"


def test_crash_at_any_step_loses_nothing(bench: AfterBench) -> None:
    """Stripe resends unanswered events; the outbox redelivers events not marked delivered."""
    step = 0
    crashed = True
    while crashed:
        order_id = f"C-{step}"
        paid(bench, order_id)

        def follow(order_id: str = order_id) -> None:
            bench.apply_all(order_id)
            bench.deliver()

        crashed = bench.crashing(step, follow)
        bench.now += 60
        follow()
        bench.now += 60
        bench.deliver()
        bodies = [each["data"]["object"] for each in bench.shop.bodies]
        ids = {b["id"] for b in bench.shop.bodies if b["data"]["object"]["order_id"] == order_id}
        assert len(ids) == 1, step
        assert bodies[-1]["status"] == "succeeded"
        assert bench.record(order_id).due_at is None
        step += 1
    assert step > 13


def test_crash_is_not_swallowed() -> None:
    """Nothing between the service and the interpreter may swallow the simulated kill -9."""
    assert not issubclass(Crash, Exception)
