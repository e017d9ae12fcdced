"""A cache of the last few seconds' answers, for double-clicks; in memory only, off by default."""

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
    """A cache entry. If `answer` is None, the order changed at `until`."""

    fingerprint: str
    until: float
    answer: T | None


class AnswerCache(Generic[T]):
    """One answer per order, kept for `seconds` after the call to Stripe began; 0 keeps none.

    A status is therefore never stale by more than `seconds`. Code that changes an order in this
    process calls `forget`, so that no answer outlives a cancellation seen by this process.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._monotonic = seconds, monotonic
        self._kept: OrderedDict[Order, _Kept[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, order: Order, fingerprint: str) -> T | None:
        """Return the answer to an identical request, unless it has expired."""
        if not self._seconds:
            return None
        with self._lock:
            kept = self._kept.get(order)
        if kept is None or kept.fingerprint != fingerprint or kept.until <= self._monotonic():
            return None
        return kept.answer

    def __bool__(self) -> bool:
        """Return whether the cache is on."""
        return self._seconds > 0

    def now(self) -> float:
        """Return the current instant for `put`; call it before the call to Stripe."""
        return self._monotonic()

    def put(self, order: Order, fingerprint: str, answer: T, asked_at: float) -> None:
        """Keep the answer to a call made at `asked_at`, unless the order has changed since."""
        if not self._seconds:
            return
        with self._lock:
            if self._changed_since(order, asked_at):
                return
            self._keep(order, _Kept(fingerprint, asked_at + self._seconds, answer))

    def forget(self, order: Order) -> None:
        """Drop the order's answer and reject those of pending calls: the order has just changed."""
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
