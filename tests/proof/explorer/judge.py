"""The invariants after every step of a run, and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from payment_service.errors import InFlight, NoLongerOpen, OrderReused
from payment_service.gateways.intent import CANCELED, OVER, TAKEN, Intent
from payment_service.payments.changes.update_checks import Updated
from payment_service.payments.creation.states import Created
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.record.transitions import LEASE_SECONDS
from tests.proof.explorer.broken import Broken
from tests.proof.explorer.money_judge import MoneyJudge

if TYPE_CHECKING:
    from tests.proof.explorer.actors import Worker
    from tests.proof.explorer.world import World

BECAME_OWNER = ("claimed", "taken_over", "next_attempt", "switched")


# By then the lock has expired, late objects have appeared, and Stripe has finished every request.
SETTLED_SECONDS = 121.0

# The amount of the final update.
LAST_AMOUNT = 5000


# How the message of an exception that is no PaymentError begins.
A_BUG = "a bug: "


class Judge:
    """Tracks the returned secrets and the order's owner."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.out: set[str] = set()
        """PaymentIntents whose client_secret left the service."""
        self.given: set[str] = set()
        """The subset whose secret left it in this run."""
        self.updates: dict[tuple[str, int], int] = {}
        """The amount of each confirmed update, by PaymentIntent and revision."""
        self.creations = 0
        self.money = MoneyJudge(world)
        self.went_back = False
        """Whether the store lost writes, and with them facts that only the record had."""
        self._known: dict[str, str | None] = {}
        self.owner: Worker | None = None
        self.claim = ""
        self.owner_until = 0.0

    def released(self, intent: Intent, amount: int) -> None:
        """The service returns a client_secret to a shop that requested this amount."""
        self.out.add(intent.id)
        self.given.add(intent.id)
        self.at_most_one()
        if intent.status not in TAKEN and intent.amount != amount:
            raise Broken("a caller got a PaymentIntent with another amount")

    def record_went_back(self) -> None:
        """The store lost writes: the promise still holds, without the lost facts."""
        self.went_back = True
        self._known.clear()
        self.owner, self.owner_until = None, 0.0

    def updated(self, done: Updated, amount: int) -> None:
        """The service confirms an update to the shop."""
        place = done.intent.id, done.revision
        if done.intent.amount != amount:
            raise Broken("an update was answered with another amount")
        if self.updates.setdefault(place, amount) != amount and not self.went_back:
            raise Broken("two updates were given one revision")

    def canceled(self, canceled: Intent) -> None:
        """The service confirms to the shop that the payment cannot be paid."""
        if self._world.second and not canceled.id.startswith("pi_"):
            self._world.second.judge.canceled(canceled.id)
        elif self._at_stripe(canceled.id)["status"] != CANCELED:
            raise Broken("what can be paid was said to be canceled")

    def _at_stripe(self, intent_id: str) -> dict[str, Any]:
        return next(each for each in self._world.intents() if each["id"] == intent_id)

    def at_most_one(self) -> None:
        """The promise: at most one payable PaymentIntent."""
        payable = [e["id"] for e in self._world.intents() if e["status"] != "canceled"]
        given = [each for each in payable if each in self.out]
        if len(given) > 1:
            raise Broken("callers got two payable PaymentIntents")

    def creation_arrives(self) -> None:
        """Rule 1: the store has the claim before Stripe receives the first byte."""
        self.creations += 1
        if self._world.store.read(self._world.order) is None and not self.went_back:
            raise Broken("rule 1: a creation was sent with no claim stored")

    def saw(self, worker: Worker, what: str) -> None:
        """Rule 5: the order has one owner at a time, until its lease expires."""
        if what in BECAME_OWNER:
            other = self.owner not in (None, worker)
            if other and self.owner_until > self._world.now and not self.went_back:
                raise Broken("rule 5: two owners at a time")
            self.owner, self.claim = worker, worker.claim
            self.owner_until = worker.leased_at + LEASE_SECONDS

    def look(self) -> None:
        """Check the owner against the record, and that final states stay final."""
        self.money.look()
        if self._world.second:
            self._world.second.judge.look()
        record = self._world.store.read(self._world.order)
        if record is not None and record.payment_intent_id is not None:
            known = self._known.get(record.payment_intent_id)
            if known in OVER and record.payment_status != known and not self.went_back:
                raise Broken("rule 11: the record says otherwise of what was over")
            self._known[record.payment_intent_id] = record.payment_status
        pending = record is not None and record.state == "pending" and record.owner
        alive = self.owner if self.owner_until > self._world.now else None
        # A worker's claims begin with its name; it need not know that one of them was written.
        foreign = pending and alive and not pending.startswith(f"{alive.name}.")
        if foreign and not self.went_back:
            raise Broken("rule 6: the record has another owner while the lease holds")
        if record and pending == self.claim and record.locked_until > self._world.now:
            self.owner_until = record.locked_until
        else:
            self.owner, self.owner_until = None, 0.0

    def answered_unrecorded(self, worker: Worker) -> None:
        """Rule 9: no owner answers without the write once another took its lease over."""
        record = self._world.store.read(self._world.order)
        if record is not None and record.owner != worker.claim and not self.went_back:
            raise Broken("rule 9: an answer without a write after another owner took over")

    def none_was_taken_back(self) -> None:
        """Rule 4: a returned PaymentIntent in the record is never treated as a stray."""
        if self.went_back:
            return
        for each in self._world.intents():
            if each["id"] in self.given and each["cancellation_reason"] == "duplicate":
                raise Broken("rule 4: a PaymentIntent that a caller got was canceled as a stray")

    def canceled_once(self, cancelers: int) -> None:
        """A cancellation applies to the order's PaymentIntent at that time, not to a later one."""
        wanted = [
            each
            for each in self._world.intents()
            if each["cancellation_reason"] == "requested_by_customer"
        ]
        if len(wanted) > cancelers and not self.went_back:
            raise Broken("one request canceled two PaymentIntents")

    def one_call(self) -> None:
        """Rule 7: without faults, an order costs one creation."""
        if self.creations > 1:
            raise Broken("rule 7: more than one creation although nothing went wrong")

    def answered(self, name: str) -> None:
        """Rule 9: a failed write after a success does not cost the caller the answer."""
        worker = next(each for each in self._world.workers if each.name == name)
        if not isinstance(worker.outcome, Created):
            raise Broken("rule 9: no answer because the last write failed")

    def end(self, amounts: Sequence[int], *, update: bool = False) -> None:
        """Check that one more request gets the one PaymentIntent, now and a day later.

        `update`: also apply one more update, and check that it persists a day later.
        """
        world = self._world
        self.at_most_one()
        world.sleep(SETTLED_SECONDS)
        self._updates_stand()
        first = self._answered(amounts)
        if update and self._updated(first.intent):
            amounts = (LAST_AMOUNT,)
        world.sleep(25 * 3600.0)
        second = self._answered(amounts)
        if first.intent.id != second.intent.id:
            raise Broken("the order got another PaymentIntent a day later")

    def _updates_stand(self) -> None:
        """Check that the last confirmed update is the amount at Stripe and in the record."""
        record = self._world.store.read(self._world.order)
        if self.went_back:
            return
        if record is None or record.state != "created" or record.payment_intent_id is None:
            return
        kept, intent = FollowUp.parse(record.follow_up), self._at_stripe(record.payment_intent_id)
        answered = [revision for of, revision in self.updates if of == intent["id"]]
        if max(answered, default=0) > kept.revision:
            raise Broken("an update that was answered is not in the record")
        amount = self.updates.get((intent["id"], kept.revision))
        if kept.pending is None and amount not in (None, intent["amount"]):
            raise Broken("an update that was answered was undone")

    def _updated(self, intent: Intent) -> bool:
        """Return whether the update was possible."""
        done = self._world.update(LAST_AMOUNT)
        if isinstance(done, NoLongerOpen) and intent.status in TAKEN:
            return False
        if not isinstance(done, Updated):
            raise Broken(f"stuck: no update: {_shown(done)}")
        self.updated(done, LAST_AMOUNT)
        return True

    def _answered(self, amounts: Sequence[int]) -> Created:
        answers = [self._world.ask(amount) for amount in amounts]
        may_wait = self._world.within_the_day or self.went_back
        if may_wait and all(isinstance(each, InFlight) for each in answers):
            # Stripe has the key with the parameters of a request whose record is lost. Its
            # worker may still be running until the lock expires.
            self._world.sleep(self._world.lock_seconds)
            answers = [self._world.ask(amount) for amount in amounts]
        given = [answer for answer in answers if isinstance(answer, Created)]
        if not given:
            raise Broken(f"stuck: {'; '.join(_shown(answer) for answer in answers)}")
        for answer in answers:
            if not isinstance(answer, Created | OrderReused):
                raise Broken(f"stuck: {_shown(answer)}")
        for answer in given:
            self.out.add(answer.intent.id)
        self.at_most_one()
        record = self._world.store.read(self._world.order)
        if record is None or record.payment_intent_id != given[0].intent.id:
            raise Broken("the record does not name the payment that a caller got")
        if given[0].intent.status == CANCELED:
            raise Broken("a caller got a canceled PaymentIntent")
        return given[0]


def _shown(answer: object) -> str:
    return f"{type(answer).__name__} {getattr(answer, 'code', '')}"
