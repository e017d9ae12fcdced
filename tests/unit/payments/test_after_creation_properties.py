"""Property test: an order is paid once and reported once, in any history with any crash.

Hypothesis generates the history of one order: requests, payments and failures at Stripe, events
that arrive twice, late or never, lost answers, a shop that is down, and kill -9 at any step. At the
end the test resends everything that was lost, as Stripe, the shop's client and an operator would.
Then our records must agree with Stripe's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_service.errors import PaymentError
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.shop_events.outbox import unparked
from sandbox.answers import Refusal
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench
from tests.support.examples import examples

FAULTS = ("lost_before", "lost_after", "error_503", "error_500_with_object", "cut_body")

AMOUNTS = st.sampled_from([1099, 1500, 2000])

CREATE = st.tuples(st.just("create"), AMOUNTS)
PAYMENT = st.tuples(st.sampled_from(["pay", "fail", "process"]), st.integers(0, 3))
EVENT = st.tuples(st.just("event"), st.integers(0, 20))

OPERATIONS = st.one_of(
    CREATE,
    PAYMENT,
    EVENT,
    st.tuples(st.just("update"), AMOUNTS),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("cancel_at_stripe"), st.none()),
    st.tuples(st.just("deliver"), st.booleans()),
    st.tuples(st.just("reconcile"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 40.0, 3 * 86_400.0])),
    st.tuples(st.just("break"), st.sampled_from(FAULTS)),
    CREATE,
    PAYMENT,
    EVENT,
)

# An operation; the step at which the process is killed, or at which another operation runs.
STEPS = st.tuples(
    OPERATIONS, st.one_of(st.none(), st.integers(0, 12)), st.one_of(st.none(), OPERATIONS)
)


class Life:
    """One order's history. `given`: the PaymentIntents whose client_secret a shopper has."""

    def __init__(self) -> None:
        self.bench = AfterBench()
        self.given: list[str] = []
        self.heard: set[str] = set()

    def happen(self, operation: tuple[str, Any], kill: int | None, other: Any) -> None:
        work = self._work(operation)
        if kill is None:
            work()
        elif other is None:
            self.bench.crashing(kill, work)
        else:
            with self.bench.meanwhile(kill, self._work(other), required=False):
                work()

    def quieten(self) -> None:
        """Clear all faults, and repeat every request that got no answer."""
        self.bench.sandbox.faults.clear()
        self.bench.shop.down = False
        self.bench.now += 10 * 86_400
        self.bench.sandbox.settle()
        self.bench.reconcile(days=365)
        for event in [*self.bench.events(), *reversed(self.bench.events())]:
            self.bench.apply(event)
        counts = self.bench.reconcile(days=365)
        assert "unresolved" not in counts
        assert "two_paid" not in counts
        unparked(self.bench.records, self.bench.now, livemode=False)
        look_ups = LateLookUps(self.bench.context, lambda _: self.bench.context, 25.0)
        while any(record.due_at is not None for record in self.bench.store.scan()):
            self.bench.now += 4000
            self.bench.deliver()
            for due in look_ups.due(10):
                look_ups.run(due)

    def statuses(self) -> list[str]:
        return [intent["status"] for intent in self.bench.made()]

    def _work(self, operation: tuple[str, Any]) -> Callable[[], None]:
        name, argument = operation
        work = getattr(self, f"_{name}")

        def done() -> None:
            try:
                work(argument)
            except (PaymentError, Refusal, AssertionError):
                # Rejected, or not possible in this state: a valid history, too.
                return

        return done

    def _create(self, amount: int) -> None:
        self.given.append(self.bench.ask(amount=amount).intent.id)

    def _update(self, amount: int) -> None:
        self.bench.update(amount)

    def _cancel(self, _: None) -> None:
        self.bench.cancel()

    def _cancel_at_stripe(self, _: None) -> None:
        self.bench.send(f"/v1/payment_intents/{self.given[-1]}/cancel", {}) if self.given else None

    def _pay(self, which: int) -> None:
        if self.given:
            self.bench.pay(self.given[-1 - which % len(self.given)])

    def _fail(self, which: int) -> None:
        if self.given:
            self.bench.fail(self.given[-1 - which % len(self.given)])

    def _process(self, which: int) -> None:
        if self.given:
            params = {
                "payment_method": f"pm_usBankAccount{'_insufficientFunds' if which % 2 else ''}",
                "return_url": "https://shop.example/done",
            }
            self.bench.send(f"/v1/payment_intents/{self.given[-1]}/confirm", params)

    def _event(self, which: int) -> None:
        events = self.bench.events()
        if events:
            self.bench.apply(events[which % len(events)])

    def _deliver(self, down: bool) -> None:
        self.bench.shop.down = down
        self.bench.deliver()

    def _reconcile(self, _: None) -> None:
        self.bench.reconcile()

    def _wait(self, seconds: float) -> None:
        self.bench.now += seconds
        self.bench.sandbox.settle()

    def _break(self, kind: str) -> None:
        match = Match(method="POST", path="/v1/payment_intents")
        self.bench.sandbox.faults.order(FaultOrder(kind, match, count=3))


@settings(
    max_examples=examples(200),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.booleans(), st.lists(STEPS, min_size=3, max_size=14))
def test_order_is_paid_once_and_reported_once_always(lost: bool, steps: list[Any]) -> None:
    life = Life()
    if lost:
        life.happen(("break", "lost_after"), None, None)
    life.happen(("create", 1099), None, None)
    for operation, kill, other in steps:
        life.happen(operation, kill, other)
        assert life.statuses().count("succeeded") <= 1
    life.quieten()
    statuses, told = life.statuses(), life.bench.shop.types()
    assert len([each for each in statuses if each != "canceled"]) <= 1
    assert told.count("order.paid") == statuses.count("succeeded")
    record = life.bench.record()
    if "succeeded" in statuses:
        assert record.payment_status == "succeeded"
        assert told[-1] == "order.paid"
    elif record is not None and record.state == "created":
        assert record.payment_status == statuses[-1] or len(statuses) > 1
        assert (record.payment_status == "canceled") == (len(life.bench.payable()) == 0)
