"""The actors of a run. Each is a separate process of the model, and runs in a greenlet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from greenlet import GreenletExit, getcurrent, greenlet

from payment_service.errors import PaymentError, StoreDown
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.stripe.events import CREATED
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.payments.after_payment.entry_lease import EntryLease
from payment_service.payments.changes.cancel import cancel_order
from payment_service.payments.changes.update import update_order
from payment_service.payments.changes.webhook import apply_event
from payment_service.payments.creation import create
from payment_service.payments.creation.owned_record import OwnedRecord
from payment_service.payments.observer import Observation
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.reconcile import Reconciler
from payment_service.payments.request.existing_order import UpdateRequest
from tests.proof.explorer.broken import Broken
from tests.proof.explorer.choices import Option
from tests.proof.explorer.judge import A_BUG
from tests.proof.explorer.wires import FINE
from tests.proof.explorer.world import BUDGET_SECONDS, ORDER, World, essence, wanted_of

# After this many consecutive polls, further polls are equivalent, so the search does not fork.
DULL_POLLS = 2

# The reconciler lists orders since before the start of every scenario.
WALK_SECONDS = 3 * 24 * 3600.0


@dataclass(eq=False)
class Worker:
    """One request, or one run of a background job."""

    world: World
    name: str
    throughout: str | None = None
    gated_throughout: str | None = None
    wakes_at: float = 0.0
    alive: bool = True
    polls: int = 0
    digest: int = 0
    leased_at: float = 0.0
    claim: str = ""
    outcome: object = None
    at: str = "start"
    paused: bool = False
    """Whether its process renews no lease until the worker's next step."""
    renewal: str | None = None
    """The fault of its lease keeper's writes while the keeper is at work, else None."""
    unrecorded: bool = False
    """Whether its last report was of a write that failed."""
    thread: greenlet = field(init=False)

    def __post_init__(self) -> None:
        self.owners = itertools.count()
        self.context = self.world.context(self)
        self.thread = greenlet(self._run)

    def work(self, deadline: Deadline) -> object:
        """Run the request or job, and return its result."""
        raise NotImplementedError

    def _run(self) -> None:
        deadline = Deadline.after(BUDGET_SECONDS, self.world.clock)
        try:
            self.outcome = self.work(deadline)
        except PaymentError as error:
            self.outcome = error
        except StoreUnavailable:
            self.outcome = StoreDown("down")
        except Exception as bug:
            raise bug if isinstance(bug, Broken) else Broken(f"{A_BUG}{bug!r}") from bug
        self.alive = False

    @property
    def dull(self) -> bool:
        """Whether the worker only polls now."""
        return self.polls > DULL_POLLS

    def pause(self, at: str) -> None:
        """Let the world choose the next worker to run."""
        self.at = at
        parent = getcurrent().parent
        assert parent
        parent.switch()
        if not self.alive:
            raise GreenletExit

    def sleep(self, seconds: float) -> None:
        """Pause until the clock has advanced by `seconds`."""
        self.wakes_at = self.world.now + seconds
        self.polls += 1
        self.pause("asleep")

    def choose(self, what: str, options: Sequence[Option]) -> str:
        """Let the guide choose, unless this worker only polls."""
        if self.dull:
            return FINE.name
        return self.world.guide.choose(f"{self.name} {what}", options)

    def leases(self) -> list[OwnedRecord | EntryLease]:
        """Return the leases that its process renews.

        The reconciler's deadlines are of the real clock, so its leases expire unless it goes on.
        """
        kinds = OwnedRecord, EntryLease
        held = [each for each in self.context.leases._held if isinstance(each, kinds)]
        ours = [each for each in held if each._deadline.monotonic == self.world.clock]
        return [each for each in ours if each.renew_at < math.inf]

    def renewals(self) -> list[float]:
        """Return the instants at which it renews them."""
        return [lease.renew_at for lease in self.leases()]

    def notice(self, found: object) -> None:
        """Add a result and its time to the worker's knowledge, which determines its state."""
        if isinstance(found, KeyRecord):
            found = essence(found)
        self.digest = hash((self.digest, self.world.now, found))

    def owner(self) -> str:
        """Return the name of a claim's owner."""
        self.leased_at = self.world.now
        self.claim = f"{self.name}.{next(self.owners)}"
        return self.claim

    def saw(self, seen: Observation) -> None:
        """Pass the flow's event on."""
        if seen.what != "waited":
            self.polls = 0
        self.unrecorded = seen.what == "unrecorded"
        self.world.judge.saw(self, seen.what)


Actor = Callable[[World, str], Worker]


@dataclass(eq=False)
class Asker(Worker):
    """A request that creates the order's PaymentIntent."""

    amount: int = 1099

    def work(self, deadline: Deadline) -> object:
        wanted = wanted_of(self.amount, self.context.gateway.api_version)
        answer = create.create_once(self.context, wanted, deadline)
        self.world.judge.released(answer.intent, self.amount)
        if self.unrecorded and not answer.replayed:
            self.world.judge.answered_unrecorded(self)
        return answer


@dataclass(eq=False)
class Updater(Worker):
    """A request that changes the order's amount."""

    amount: int = 2000

    def work(self, deadline: Deadline) -> object:
        request = UpdateRequest(order_id=ORDER.order_id, amount=self.amount)
        done = update_order(self.context, ORDER, request, deadline)
        self.world.judge.updated(done, self.amount)
        return done


class Canceler(Worker):
    """A request that cancels the order's PaymentIntent."""

    def work(self, deadline: Deadline) -> object:
        canceled = cancel_order(self.context, ORDER, "requested_by_customer", deadline)
        self.world.judge.canceled(canceled)
        return canceled


@dataclass(eq=False)
class Hook(Worker):
    """Stripe's event about the order's first PaymentIntent, in any state of the record."""

    kind: str = CREATED

    def work(self, deadline: Deadline) -> object:
        made = self.world.intents()
        if not made:
            return None
        about = (made[0]["id"], ORDER, self.kind == CREATED)
        event = PaymentEvent(f"evt_{self.name}", self.kind, ORDER.livemode, *about)
        try:
            return apply_event(self.context, event, deadline)
        except StoreUnavailable:
            self.world.judge.saw(self, "unrecorded")
            raise


class Looker(Worker):
    """The look-up of late PaymentIntents of an abandoned attempt."""

    def work(self, deadline: Deadline) -> object:
        look_ups = LateLookUps(self.context, lambda _: self.context, BUDGET_SECONDS)
        return [look_ups.run(record) for record in look_ups.due(10)]


class Walker(Worker):
    """A run of the reconciler."""

    def work(self, deadline: Deadline) -> object:
        walk = Reconciler(self.context, livemode=ORDER.livemode, budget_seconds=BUDGET_SECONDS)
        for _ in walk.steps(self.world.now - WALK_SECONDS):
            pass
        return walk.tally
