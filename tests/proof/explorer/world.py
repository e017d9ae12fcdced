"""One order and all that touches it, run one step at a time in the order that a guide chooses."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit
from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.gateways.calls import Http
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.key_store.contract import KeyRecord, KeyStore, Order, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.after_payment.capture import CaptureAnswer, capture_order
from payment_service.payments.after_payment.refund import RefundAnswer, refund_order
from payment_service.payments.changes.update import update_order
from payment_service.payments.changes.update_checks import Updated
from payment_service.payments.context import Context, Timing
from payment_service.payments.creation import create
from payment_service.payments.creation.resolve import resolve
from payment_service.payments.creation.states import Created
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.record.lease_keeper import LeaseKeeper
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import Records
from payment_service.payments.record.transitions import LEASE_SECONDS, Wanted
from payment_service.payments.request.existing_order import (
    CaptureRequest,
    RefundRequest,
    UpdateRequest,
)
from sandbox.core import Sandbox
from sandbox.execution import Execution
from sandbox.moment import Rules
from tests.proof.explorer.choices import Guide, Option
from tests.proof.explorer.gated_wires import GatedTransport
from tests.proof.explorer.gated_world import BOTH, PAYPAL, Second, TwoGateways
from tests.proof.explorer.judge import Judge
from tests.proof.explorer.wires import FINE, LOST_ANSWER, StepStore, StepTransport
from tests.support.sandbox_transport import SandboxTransport

if TYPE_CHECKING:
    from tests.proof.explorer.actors import Worker

NOW = 1_800_000_000.0
ORDER = Order(livemode=False, client_id=None, order_id="A-1")
HEADERS = {"authorization": "Bearer sk_test_shop"}

# Small, so that a waiting worker's polls are few.
BUDGET_SECONDS = 8.0
LOCK_MARGIN_SECONDS = 10.0
TIMING = Timing(lock=BUDGET_SECONDS + LOCK_MARGIN_SECONDS, store=1)

# A process that is stopped for so long finds its lease taken over.
PAUSE_SECONDS = LEASE_SECONDS + 1.5

HOUR = 3600.0
JUMPS = {
    "a lease runs out": LEASE_SECONDS + 0.5,
    "every lock runs out": TIMING.lock + 1,
    "23 hours pass": 23 * HOUR + 1,
    "25 hours pass": 25 * HOUR,
}


# Stripe's search lags by an hour at worst (docs.stripe.com/search), which is the default here.
WORST_LAG = "lags an hour"
LAGS = {WORST_LAG: HOUR, "lags a minute": 60.0, "lags not at all": 0.0}

LOST = "the record is lost"

# The statuses of a PaymentIntent that the shopper can confirm.
ASKING = ("requires_payment_method", "requires_confirmation", "requires_action")


class RememberingStore(MemoryStore):
    """Keeps every version of the order's record, so that a run can go back to any of them."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[KeyRecord] = []

    def _put(self, record: KeyRecord) -> None:
        super()._put(record)
        self.versions.append(record)

    def older(self) -> dict[str, KeyRecord]:
        """The versions before the present one, by the name of the way there."""
        return {
            f"the record goes back by {back}": version
            for back, version in enumerate(reversed(self.versions[:-1]), start=1)
        }

    def go_back(self, version: KeyRecord) -> None:
        """Become what a copy that is behind has: the later versions are gone."""
        self.versions = self.versions[: self.versions.index(version)]
        self._put(version)

    def lose(self) -> None:
        """Know nothing of the order any more."""
        self._records.clear()
        self._due.clear()
        self.versions = []


class Pruned(Exception):
    """Everything from here on was explored before."""


def wanted_of(amount: int, api_version: str, **more: Any) -> Wanted:
    """What a request for the order asks for."""
    metadata = {"order_id": ORDER.order_id}
    params = {"amount": amount, "currency": "usd", "metadata": metadata, **more}
    sent = SentParams(api_version, params)
    return Wanted(ORDER, f"print of {amount} {sorted(more)}", sent)


class World:
    """Owns the clock; `store_of` and `guide` are what a run may vary."""

    def __init__(
        self,
        guide: Guide,
        store_of: Callable[[StepStore], KeyStore] = lambda store: store,
        *,
        within_the_day: bool = False,
        forgets: bool = True,
        pauses: bool = True,
        two: TwoGateways | None = None,
    ) -> None:
        self.now = NOW
        self.order, self.lock_seconds = ORDER, TIMING.lock
        self.guide = guide
        self.sandbox = Sandbox(self.clock, seed=1, rules=Rules(search_lag_seconds=LAGS[WORST_LAG]))
        self.lag: str | None = None
        self.store = RememberingStore()
        self.within_the_day = within_the_day
        self.forgets, self.pauses = forgets, pauses
        self.judge = Judge(self)
        self.second = Second(self, two) if two else None
        # Two requests at the same instant have different owners.
        self._calm_owners = itertools.count()
        if self.second:
            # Its worst: the search matters less here, and each fork lengthens every search.
            self.lag = WORST_LAG
            self.forgets = forgets and guide.left.faults <= self.second.two.forgets
        self.workers: list[Worker] = []
        self.executing: list[tuple[float, Execution]] = []
        self._store_of = store_of

    def clock(self) -> float:
        return self.now

    def context(self, worker: Worker) -> Context:
        """What a worker's process works with."""
        return Context(
            Records(self._store_of(StepStore(worker))),
            self._gateway(StepTransport(worker), worker.sleep),
            TIMING,
            clock=self.clock,
            sleep=worker.sleep,
            owner=worker.owner,
            observe=worker.saw,
            leases=LeaseKeeper(monotonic=self.clock),
            **self._second_of(worker),
        )

    def _second_of(self, worker: Worker) -> dict[str, Any]:
        if self.second is None:
            return {}
        http = GatedTransport(worker, self.second)
        return self.second.equipment(http, worker.sleep)

    def wanted(
        self, amount: int, api_version: str, accepts: frozenset[str] = BOTH, **more: Any
    ) -> Wanted:
        """Return a request that accepts these gateways, as far as the world has them."""
        wanted = wanted_of(amount, api_version, **more)
        if self.second is None:
            return wanted
        alternatives = self.second.alternatives(ORDER, amount) if PAYPAL in accepts else ()
        return replace(wanted, alternatives=alternatives, accepts=accepts)

    def ask(
        self, amount: int, accepts: frozenset[str] = BOTH, **more: Any
    ) -> Created | PaymentError:
        """One more request, with nothing going wrong and nobody else there."""
        context, deadline = self.calm_context(), Deadline.after(BUDGET_SECONDS, self.clock)
        version = context.gateway.api_version
        # It counts as the same request as one without these parameters.
        plain, wanted = wanted_of(amount, version), self.wanted(amount, version, accepts, **more)
        try:
            return create.create_once(
                context, replace(wanted, fingerprint=plain.fingerprint), deadline
            )
        except PaymentError as error:
            return error

    def update(self, amount: int) -> Updated | PaymentError:
        """One more update, in the same way."""
        context, deadline = self.calm_context(), Deadline.after(BUDGET_SECONDS, self.clock)
        request = UpdateRequest(order_id=ORDER.order_id, amount=amount)
        try:
            return update_order(context, ORDER, request, deadline)
        except PaymentError as error:
            return error

    def refund(self, refund_id: str, amount: int) -> RefundAnswer | PaymentError:
        """One more refund request, in the same way."""
        deadline = Deadline.after(BUDGET_SECONDS, self.clock)
        request = RefundRequest(order_id=ORDER.order_id, refund_id=refund_id, amount=amount)
        try:
            return refund_order(self.calm_context(), ORDER, request, deadline)
        except PaymentError as error:
            return error

    def capture(self, amount: int) -> CaptureAnswer | PaymentError:
        """One more capture request, in the same way."""
        deadline = Deadline.after(BUDGET_SECONDS, self.clock)
        request = CaptureRequest(order_id=ORDER.order_id, amount_to_capture=amount)
        try:
            return capture_order(self.calm_context(), ORDER, request, deadline)
        except PaymentError as error:
            return error

    def resolve(self) -> OrderRecord | None:
        """Settle the order as the reconciler does, with nothing going wrong."""
        context = self.calm_context()
        record = context.records.read(ORDER)
        assert record
        return resolve(context, record, Deadline.after(BUDGET_SECONDS, self.clock))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    def settle(self) -> None:
        """Let Stripe do what is due."""
        due = [each for each in self.executing if each[0] <= self.now]
        self.executing = [each for each in self.executing if each[0] > self.now]
        for at, execution in due:
            self._finish(at, execution)
        self.sandbox.settle()
        if self.second:
            self.second.settle()

    def _finish(self, at: float, execution: Execution) -> None:
        """Finish an execution, with two gateways at its own time: a leftover is looked for then."""
        now = self.now
        if self.second and at:
            self.now = at
        self.sandbox.finish(execution)
        self.now = now

    def intents(self) -> list[dict[str, Any]]:
        """Every PaymentIntent, in order of arrival."""
        books = self.sandbox.books.values()
        return [record.intent for each in books for record in each.ledger.records.values()]

    def search_begins(self, worker: Worker) -> None:
        """How far the search lags is chosen where a run first depends on it, and costs nothing."""
        if self.lag is None:
            self.lag = worker.choose("GET search", tuple(Option(name) for name in LAGS))
            lag_seconds = LAGS.get(self.lag, LAGS[WORST_LAG])
            self.sandbox.rules = dataclasses.replace(
                self.sandbox.rules, search_lag_seconds=lag_seconds
            )

    def go_back(self, version: KeyRecord) -> None:
        """A failover to a copy that is behind, or a restored backup."""
        self.store.go_back(version)
        self.judge.record_went_back()

    def lose_record(self) -> None:
        """Stripe's own key keeps the promise then, for a day: none passes from here on."""
        self.store.lose()
        self.within_the_day = True
        self.judge.record_went_back()

    def act(self, intent_id: str, verb: str) -> None:
        """Do what the shopper, or the shop by hand, does to a PaymentIntent."""
        body = b"payment_method=pm_card_visa&return_url=https://shop.example"
        path = f"/v1/payment_intents/{intent_id}/{verb}"
        answer = self.sandbox.handle("POST", path, HEADERS, body if verb == "confirm" else b"")
        assert answer.status == 200, answer.body

    # The scheduler.

    def run(self, workers: Sequence[Worker], look: Callable[[Worker], None]) -> None:
        """Run the workers to their ends. `look` is called before each step, with the last one's."""
        self.workers = list(workers)
        current = self.workers[0]
        try:
            while any(worker.alive for worker in self.workers):
                self.judge.look()
                look(current)
                chosen = self._next(current)
                if chosen is None:
                    continue
                current = chosen
                self._pass_until(max(self.now, current.wakes_at))
                current.paused = False
                self._pass_until(self.now)
                self.settle()
                current.thread.switch()
        finally:
            self._end()

    def _pass_until(self, instant: float) -> None:
        """Let time pass, in which every process that is not paused renews its leases in time."""
        tried: set[tuple[str, float]] = set()
        while True:
            due = [
                (at, worker.name, worker)
                for worker in self.workers
                if worker.alive and not worker.paused
                for at in worker.renewals()
                if at <= instant and (worker.name, at) not in tried
            ]
            if not due:
                break
            at, name, worker = min(due)
            tried.add((name, at))
            self.now = max(self.now, at)
            self.renew(worker)
        self.now = max(self.now, instant)

    def renew(self, worker: Worker, fault: str = FINE.name) -> None:
        """Run a round of the worker's lease keeper, in which this happens to each write."""
        worker.renewal = fault
        try:
            for lease in worker.leases():
                lease.renew()
        except StoreUnavailable:
            pass
        finally:
            worker.renewal = None

    def _end(self) -> None:
        for worker in self.workers:
            worker.alive = False
            if worker.thread:
                worker.thread.throw(GreenletExit)

    def _next(self, current: Worker) -> Worker | None:
        """Who takes the next step; None: something else happened first."""
        lined_up = self._lined_up(current)
        ways = {f"{each.name} goes on": each for each in lined_up}
        free = lined_up[0] is not current and self._ready(lined_up[0])
        options = [
            Option(name, switches=0 if i == 0 or (free and self._ready(each)) else 1)
            for i, (name, each) in enumerate(ways.items())
        ]
        if not current.dull:
            options += self._events(current)
        chosen = self.guide.choose(f"{current.name} at {current.at}", options)
        if chosen in ways:
            return ways[chosen]
        self._happen(chosen, current)
        return None

    def _ready(self, worker: Worker) -> bool:
        return worker.wakes_at <= self.now

    def _lined_up(self, current: Worker) -> list[Worker]:
        """The current one first if it can go on; then those who can; then sleepers by time."""
        alive = [worker for worker in self.workers if worker.alive]
        return sorted(
            alive,
            key=lambda each: (
                max(0.0, each.wakes_at - self.now),
                each is not current,
                self.workers.index(each),
            ),
        )

    def _events(self, current: Worker) -> Iterator[Option]:
        if current.alive and current.at != "start":
            yield Option("crash", faults=1)
        for worker in self.workers:
            if self.pauses and worker.alive and worker.leases():
                yield Option(f"{worker.name} renews", switches=1)
                yield Option(f"{worker.name} renews: {LOST_ANSWER}", faults=1)
                yield Option(f"{worker.name} is paused", switches=1)
        for jump in JUMPS:
            if not self.within_the_day or JUMPS[jump] < HOUR:
                yield Option(jump, faults=1)
        if self.executing:
            yield Option("Stripe executes", switches=1)
        if self.forgets:
            yield from self._losses()
        yield from self._acts()

    def _acts(self) -> Iterator[Option]:
        """What shopper, shop and gateways do; with two gateways the shopper is an actor."""
        if self.second:
            yield from self.second.events()
        elif self._open():
            yield Option("the shopper pays", faults=1)
        if self._open():
            yield Option("the shop cancels", faults=1)

    def _losses(self) -> Iterator[Option]:
        """The store loses its last writes, or the whole record."""
        for way, version in self.store.older().items():
            if self.second is None or self.second.may_go_back_to(version):
                yield Option(way, faults=1)
        if self.second is None and self.store.versions and self.now - NOW < HOUR:
            yield Option(LOST, faults=1)

    def _open(self) -> str | None:
        """A PaymentIntent whose secret is out and that can be paid now."""
        asking = [each["id"] for each in self.intents() if each["status"] in ASKING]
        return next((each for each in asking if each in self.judge.out), None)

    def _happen(self, what: str, current: Worker) -> None:
        if what == "crash":
            current.alive = False
            current.thread.throw(GreenletExit)
        elif what in JUMPS:
            self.now += JUMPS[what]
            for worker in self.workers:
                worker.paused = True
            self.settle()
        elif named := next((each for each in self.workers if what.startswith(each.name)), None):
            if what.endswith("is paused"):
                named.paused, named.wakes_at = True, self.now + PAUSE_SECONDS
            else:
                self.renew(named, LOST_ANSWER if what.endswith(LOST_ANSWER) else FINE.name)
        elif what == LOST:
            self.lose_record()
        elif version := self.store.older().get(what):
            self.go_back(version)
        elif what == "Stripe executes":
            self.executing = [(0.0, execution) for _, execution in self.executing]
            self.settle()
        elif self.second and self.second.happen(what):
            pass
        else:
            intent_id = self._open()
            assert intent_id
            self.act(intent_id, "confirm" if what == "the shopper pays" else "cancel")

    # What the future depends on.

    def state(self) -> tuple[Any, ...]:
        """The whole world but its workers, hashable."""
        record = self.store.read(ORDER)
        books = self.sandbox.books.values()
        return (
            self.now,
            self.lag,
            record and essence(record),
            tuple(map(essence, self.store.versions[:-1]))
            if self.forgets and self.guide.left.faults
            else (),
            tuple((each["id"], each["status"], each["amount"]) for each in self.intents()),
            tuple(_keys(each.keys) for each in books),
            tuple((due.at, due.kind) for each in books for due in each.ledger.due),
            tuple(at for at, _ in self.executing),
            frozenset(self.judge.out),
            self.judge.money.state(),
            tuple(self.judge.updates.items()),
            self.second and self.second.state(),
        )

    def signature(self, current: Worker) -> int:
        """A number that two worlds share from which the same can follow."""
        turn = self.workers.index(current)
        workers = tuple(
            (
                each.alive,
                each.at,
                each.wakes_at,
                each.polls,
                each.throughout,
                each.gated_throughout,
                each.digest,
                _lease(each),
            )
            for each in self.workers
        )
        return hash((self.state(), workers, turn, self.judge.owner_until, self.judge.creations))

    def calm_context(self) -> Context:
        """Return the context of a process in which nothing goes wrong."""
        names = self._calm_owners
        return Context(
            Records(self._store_of(self.store)),  # type: ignore[arg-type]
            self._gateway(SandboxTransport(self.sandbox), self.sleep),
            TIMING,
            clock=self.clock,
            sleep=self.sleep,
            owner=lambda: f"last.{self.now}.{next(names)}",
            **self._calm_second(),
        )

    def _calm_second(self) -> dict[str, Any]:
        if self.second is None:
            return {}
        return self.second.equipment(self.second.calm_http(), self.sleep, calm=True)

    def _gateway(self, http: Http, sleep: Callable[[float], None]) -> StripeGateway:
        policy = RetryPolicy(sleep=sleep, uniform=lambda _, high: high)
        return StripeGateway("sk_test_shop", http, policy=policy, clock=self.clock)


def _lease(worker: Worker) -> tuple[Any, ...]:
    known = ((own.renew_at, own.record.version) for own in worker.leases())
    return (worker.paused, *known)


def essence(record: KeyRecord) -> tuple[KeyRecord, FollowUp]:
    """A record without its history, on which nothing depends."""
    return replace(record, follow_up=""), replace(FollowUp.parse(record.follow_up), history=())


def _keys(keys: Any) -> tuple[Any, ...]:
    return tuple(
        (key, saved.first_used_at, saved.answer and (saved.answer.status, saved.answer.body))
        for key, saved in keys._kept.items()
        if not key.startswith("cancel-")
    )
