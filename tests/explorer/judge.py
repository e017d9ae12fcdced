"""What must hold after every step of a run, and at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from payment.errors import InFlight, OrderReused
from payment.tools import Created

if TYPE_CHECKING:
    from tests.explorer.world import Worker, World

BECAME_OWNER = ("claimed", "taken_over", "next_attempt")


# The lock has run out, a late object is there, and Stripe is done with whatever it was sent.
SETTLED_SECONDS = 121.0


class Broken(Exception):
    """The promise does not hold; the message says which line of it."""


class Judge:
    """Keeps what was given out and who owns the order."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.out: set[str] = set()
        """PaymentIntents whose client_secret left the service."""
        self.creations = 0
        self.owner: Worker | None = None
        self.claim = ""
        self.owner_until = 0.0

    def released(self, worker: Worker, intent_id: str) -> None:
        """A client_secret leaves the service."""
        self.out.add(intent_id)
        self.at_most_one()

    def at_most_one(self) -> None:
        """The promise."""
        payable = [e["id"] for e in self._world.intents() if e["status"] != "canceled"]
        given = [each for each in payable if each in self.out]
        if len(given) > 1:
            raise Broken("two payable PaymentIntents were given out")

    def creation_arrives(self, worker: Worker, key: str) -> None:
        """Rule 1: the claim is stored before the first byte goes to Stripe."""
        self.creations += 1
        if self._world.store.read(worker.wanted.order) is None:
            raise Broken("rule 1: a creation was sent with no claim stored")

    def saw(self, worker: Worker, what: str) -> None:
        """Rule 5: one owner at a time, until its lock runs out."""
        if what in BECAME_OWNER:
            other = self.owner not in (None, worker)
            if other and self.owner_until > self._world.now:
                raise Broken("rule 5: two owners at a time")
            self.owner, self.claim = worker, worker.claim
            self.owner_until = worker.leased_at + self._world.lock_seconds

    def look(self) -> None:
        """An owner is one as long as the record says so."""
        record = self._world.store.read(self._world.order)
        held = record is not None and record.state == "pending" and record.owner == self.claim
        if not (record and held and record.locked_until > self._world.now):
            self.owner, self.owner_until = None, 0.0

    def none_was_taken_back(self) -> None:
        """Rule 4: what was given out is no stray."""
        for each in self._world.intents():
            if each["id"] in self.out and each["cancellation_reason"] == "duplicate":
                raise Broken("rule 4: what was given out was canceled as a stray")

    def one_call(self) -> None:
        """Rule 7: where nothing goes wrong, the order costs one creation."""
        if self.creations > 1:
            raise Broken("rule 7: more than one creation although nothing went wrong")

    def answered(self, name: str) -> None:
        """Rule 9: a write that fails after success costs nobody an answer."""
        worker = next(each for each in self._world.workers if each.name == name)
        if not isinstance(worker.outcome, Created):
            raise Broken("rule 9: no answer because the last write failed")

    def end(self, amounts: Sequence[int]) -> None:
        """One more request gets the one PaymentIntent, then and a day later."""
        world = self._world
        self.at_most_one()
        world.sleep(SETTLED_SECONDS)
        first = self._answered(amounts)
        world.sleep(25 * 3600.0)
        second = self._answered(amounts)
        if first.intent.id != second.intent.id:
            raise Broken("the order got another PaymentIntent a day later")

    def _answered(self, amounts: Sequence[int]) -> Created:
        answers = [self._world.ask(amount) for amount in amounts]
        if self._world.within_the_day and all(isinstance(each, InFlight) for each in answers):
            # Stripe knows the key with the parameters of a request whose record is lost: whoever
            # sent it may be at it for as long as a lock holds.
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
            raise Broken("the record does not point at what was given out")
        if given[0].intent.status == "canceled":
            raise Broken("a canceled PaymentIntent was given out")
        return given[0]


def _shown(answer: object) -> str:
    return f"{type(answer).__name__} {getattr(answer, 'code', '')}"
