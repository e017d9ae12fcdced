"""The invariants of captures and refunds, after every step and at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from payment_service.errors import (
    AlreadyCaptured,
    BadRequest,
    NotAuthorized,
    NotFound,
    NotPaid,
    Refused,
)
from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.payments.after_payment.capture import CaptureAnswer
from payment_service.payments.after_payment.refund import RefundAnswer
from payment_service.payments.record.follow_up import FollowUp
from tests.proof.explorer.broken import Broken

if TYPE_CHECKING:
    from tests.proof.explorer.world import World

# By then every late refund has appeared, and a spent key may be followed by the next one.
SETTLED_SECONDS = LATEST_ARRIVAL_SECONDS + 121.0

WITHOUT_EFFECT = ("failed", "canceled")


class MoneyJudge:
    """Knows what was answered about captures and refunds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.answered: dict[str, str] = {}
        """The gateway's id of each refund that the service confirmed, by refund_id."""

    def refunds(self) -> list[dict[str, Any]]:
        """Return every refund at Stripe that has an effect."""
        books = self._world.sandbox.books.values()
        made = [each for book in books for each in book.ledger.refunds.newest_first()]
        return [each for each in made if each["status"] not in WITHOUT_EFFECT]

    def state(self) -> tuple[Any, ...]:
        """Return what the future depends on, hashable."""
        refunds = tuple((each["id"], each["amount"], each["status"]) for each in self.refunds())
        return refunds, tuple(sorted(self.answered.items()))

    def refunded(self, answer: RefundAnswer) -> None:
        """The service confirms a refund to the shop."""
        if answer.stripe_refund_id not in [each["id"] for each in self.refunds()]:
            raise Broken("rule 25: a refund was confirmed that Stripe does not have")
        known = self.answered.setdefault(answer.refund_id, answer.stripe_refund_id)
        if known != answer.stripe_refund_id:
            raise Broken("rule 23: one refund_id was answered with two refunds")

    def captured(self, answer: CaptureAnswer, amount: int) -> None:
        """The service confirms a capture of this amount to the shop."""
        [made] = [each for each in self._world.intents() if each["id"] == answer.intent.id]
        if not made["amount_received"] == answer.amount_captured == amount:
            raise Broken("rule 29: a capture was confirmed with another amount")

    def refund_arrives(self, key: str, amount: int) -> None:
        """Check a send before Stripe does.

        Rule 23: the store has the entry before Stripe receives the first byte. Rule 26: the money
        suffices, also for what Stripe may yet execute; Stripe's own check is not the proof.
        """
        if key not in self._used_keys() and not self._world.judge.went_back:
            received = sum(each["amount_received"] for each in self._world.intents())
            if self._refunded() + self._on_their_way() + amount > received:
                raise Broken("rule 26: a refund of more than is left was sent")
        record = self._world.store.read(self._world.order)
        entries = FollowUp.parse(record.follow_up).refunds if record else ()
        if not entries and not self._world.judge.went_back:
            raise Broken("rule 23: a refund was sent with no entry stored")

    def _used_keys(self) -> set[str]:
        books = self._world.sandbox.books.values()
        return {key for book in books for key in book.keys._kept}

    def _refunded(self) -> int:
        return sum(each["amount"] for each in self.refunds())

    def _on_their_way(self) -> int:
        """Return the sum of the refunds that Stripe may execute later."""
        books = self._world.sandbox.books.values()
        due = [each for book in books for each in book.ledger.due]
        waiting = [each.subject[0] for each in due if each.kind == "appear"]
        waiting += [execution for _, execution in self._world.executing]
        asked = [each.admitted.params for each in waiting]
        return sum(int(each["amount"]) for each in asked if "payment_intent" in each)

    def look(self) -> None:
        """Check that each refund_id has one refund, and that they do not exceed the payment."""
        refunds = self.refunds()
        names = [each["metadata"].get("refund_id") for each in refunds]
        if any(names.count(name) > 1 for name in names if name is not None):
            raise Broken("rule 25: a refund was made twice")
        received = sum(each["amount_received"] for each in self._world.intents())
        if sum(each["amount"] for each in refunds) > received:
            raise Broken("rule 26: more was refunded than was received")

    def end(self, refunds: Sequence[tuple[str, int]], captures: Sequence[int]) -> None:
        """Check that each request gets its answer, now and a day later."""
        for ask in [*map(self._refund, refunds), *map(self._capture, captures)]:
            first = self._settled(ask)
            self._world.sleep(1.0)
            self.look()
            if isinstance(first, RefundAnswer):
                again = ask()
                if not isinstance(again, RefundAnswer) or not again.replayed:
                    raise Broken("rule 23: a refund was not replayed")
        self._world.sleep(25 * 3600.0)
        for ask in map(self._refund, refunds):
            self._settled(ask)
        self.look()

    def _settled(self, ask: Callable[[], object]) -> object:
        """Ask until it is definitive; a spent key takes an hour, and may be followed by another."""
        for _ in range(3):
            answer = ask()
            final = (RefundAnswer, CaptureAnswer, BadRequest, NotPaid, Refused)
            gone = isinstance(answer, NotFound) and self._world.judge.went_back
            if gone or isinstance(answer, (*final, AlreadyCaptured, NotAuthorized)):
                if isinstance(answer, RefundAnswer):
                    self.refunded(answer)
                return answer
            self._world.sleep(SETTLED_SECONDS)
        raise Broken(f"stuck: {type(answer).__name__} {getattr(answer, 'code', '')}")

    def _refund(self, asked: tuple[str, int]) -> Callable[[], object]:
        return lambda: self._world.refund(*asked)

    def _capture(self, amount: int) -> Callable[[], object]:
        def ask() -> object:
            answer = self._world.capture(amount)
            if isinstance(answer, CaptureAnswer):
                self.captured(answer, amount)
            return answer

        return ask
