"""Answers of the last few seconds, for double-clicks; in memory only, and off unless asked for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from payment_service.key_store.contract import Order

T = TypeVar("T")

# About 600 bytes an answer: 6 MB at most.
MAX_ANSWERS = 10_000


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    """`answer` None marks a change of the order at `until`."""

    fingerprint: str
    until: float
    answer: T | None


class AnswerCache(Generic[T]):
    """One answer for each order, for `seconds` from when it was asked of Stripe; 0 keeps none.

    A status is therefore never behind by more than `seconds`. Whoever changes an order in this
    process calls `forget`, so that no answer outlives a cancellation that was seen here.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._monotonic = seconds, monotonic
        self._kept: OrderedDict[Order, _Kept[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, order: Order, fingerprint: str) -> T | None:
        """Return the answer to the very same request, if it is young enough."""
        if not self._seconds:
            return None
        with self._lock:
            kept = self._kept.get(order)
        if kept is None or kept.fingerprint != fingerprint or kept.until <= self._monotonic():
            return None
        return kept.answer

    def __bool__(self) -> bool:
        """Return whether it keeps any."""
        return self._seconds > 0

    def now(self) -> float:
        """Return the instant that `put` wants: take it before Stripe is asked."""
        return self._monotonic()

    def put(self, order: Order, fingerprint: str, answer: T, asked_at: float) -> None:
        """Keep an answer that was asked for at `asked_at`, unless the order changed since."""
        if not self._seconds:
            return
        with self._lock:
            if self._changed_since(order, asked_at):
                return
            self._keep(order, _Kept(fingerprint, asked_at + self._seconds, answer))

    def forget(self, order: Order) -> None:
        """Drop the order's answer, and those that are on their way: it changed just now."""
        if not self._seconds:
            return
        with self._lock:
            self._keep(order, _Kept("", self._monotonic(), None))

    def _keep(self, order: Order, kept: _Kept[T]) -> None:
        self._kept[order] = kept
        self._kept.move_to_end(order)
        if len(self._kept) > MAX_ANSWERS:
            self._kept.popitem(last=False)

    def _changed_since(self, order: Order, asked_at: float) -> bool:
        kept = self._kept.get(order)
        return kept is not None and kept.answer is None and kept.until >= asked_at
