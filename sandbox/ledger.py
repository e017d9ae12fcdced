"""The objects of one account in one mode, the PaymentIntents' history, and the scheduled changes.

A PaymentIntent is a JSON object that is replaced, never changed, so that a ledger is cheap to copy
and an Event keeps the object of its time.
"""

from __future__ import annotations

import heapq
from bisect import insort
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sandbox.answers import JsonObject, refusal
from sandbox.collection import Collection
from sandbox.payment_methods import PaymentMethod


@dataclass(frozen=True, slots=True)
class Record:
    """A PaymentIntent, its earlier versions (for search, which lags), and its payment method."""

    intent: JsonObject
    history: tuple[tuple[float, JsonObject], ...]
    paying_with: PaymentMethod | None = None
    return_url: str | None = None


class Position(NamedTuple):
    """A position in the list: ordered by second of creation, then by arrival."""

    created: int
    sequence: int
    id: str


class Due(NamedTuple):
    """A change that is scheduled for a time of the sandbox clock."""

    at: float
    sequence: int
    kind: str
    subject: Any


class Ledger:
    """Not thread-safe: the Sandbox holds its lock around every use."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.positions: list[Position] = []
        self.charges = Collection("charge")
        self.refunds = Collection("refund")
        self.disputes = Collection("dispute")
        self.methods: dict[str, PaymentMethod] = {}
        self.due: list[Due] = []
        self.events: list[JsonObject] = []
        self._place: dict[str, Position] = {}
        self._by_metadata: dict[tuple[str, str], dict[str, None]] = {}
        self._sequence = 0

    def add(self, intent: JsonObject, now: float) -> None:
        """Add a new PaymentIntent."""
        position = Position(intent["created"], self._next(), intent["id"])
        insort(self.positions, position)
        self._place[intent["id"]] = position
        self.records[intent["id"]] = Record(intent, ((now, intent),))
        self._index(intent)

    def put(self, intent: JsonObject, now: float) -> None:
        """Replace a PaymentIntent with its next version."""
        old = self.records[intent["id"]]
        history = (*old.history, (now, intent))
        self.records[intent["id"]] = replace(old, intent=intent, history=history)
        if intent["metadata"] is not old.intent["metadata"]:
            self._index(intent)

    def delete(self, intent_id: str) -> JsonObject:
        """Delete a PaymentIntent, as Stripe deletes test data; its idempotency key stays saved."""
        intent = self.get(intent_id)
        del self.records[intent_id]
        self.positions.remove(self._place.pop(intent_id))
        for ids in self._by_metadata.values():
            ids.pop(intent_id, None)
        self.due = [due for due in self.due if due.subject != intent_id]
        heapq.heapify(self.due)
        return intent

    def pay_with(self, intent_id: str, method: PaymentMethod, return_url: str | None) -> None:
        """Record the payment method of a PaymentIntent, and its shopper's return URL."""
        record = self.records[intent_id]
        self.records[intent_id] = replace(record, paying_with=method, return_url=return_url)

    def get(self, intent_id: str, param: str = "intent", status: int = 404) -> JsonObject:
        """Return the PaymentIntent, or raise resource_missing with this status."""
        record = self.records.get(intent_id)
        if record is None:
            message = f"No such payment_intent: '{intent_id}'"
            raise refusal(message, status=status, code="resource_missing", param=param)
        return record.intent

    def place(self, intent_id: str, param: str) -> Position:
        """Return the position of a PaymentIntent in the list, or raise 400 resource_missing."""
        if intent_id not in self._place:
            message = f"No such payment_intent: '{intent_id}'"
            raise refusal(message, code="resource_missing", param=param)
        return self._place[intent_id]

    def with_metadata(self, name: str, value: str) -> list[str]:
        """Return the ids of PaymentIntents that have or had this pair, ignoring case."""
        return list(self._by_metadata.get((name, value.casefold()), ()))

    def schedule(self, at: float, kind: str, subject: Any) -> None:
        """Schedule a change at a time of the sandbox clock."""
        heapq.heappush(self.due, Due(at, self._next(), kind, subject))

    def pop_due(self, now: float) -> Due | None:
        """Remove and return the next change that is due, or None."""
        return heapq.heappop(self.due) if self.due and self.due[0].at <= now else None

    def copy(self) -> Ledger:
        """Return a copy; it shares the immutable contents."""
        twin = Ledger()
        twin.records = self.records.copy()
        twin.positions = self.positions.copy()
        twin.charges = self.charges.copy()
        twin.refunds = self.refunds.copy()
        twin.disputes = self.disputes.copy()
        twin.methods = self.methods.copy()
        twin.due = self.due.copy()
        twin.events = self.events.copy()
        twin._place = self._place.copy()
        twin._by_metadata = {pair: ids.copy() for pair, ids in self._by_metadata.items()}
        twin._sequence = self._sequence
        return twin

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _index(self, intent: JsonObject) -> None:
        for name, value in intent["metadata"].items():
            self._by_metadata.setdefault((name, value.casefold()), {})[intent["id"]] = None
