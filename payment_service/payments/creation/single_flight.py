"""The same order twice at the same moment in one process: one goes, the others wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class WaitedTooLongError(Exception):
    """The leader did not come back in time."""


class SingleFlight(Generic[K, T]):
    """Rule 7 within a process: followers share the leader's answer without polling."""

    def __init__(self) -> None:
        self._flights: dict[K, Future[T]] = {}
        self._lock = threading.Lock()

    def run(self, key: K, lead: Callable[[], T], wait_seconds: float) -> tuple[T, bool]:
        """Return what `lead` returned, and whether another thread's call of it was shared.

        Raises what `lead` raised, to every follower too; WaitedTooLongError after
        `wait_seconds` as a follower.
        """
        with self._lock:
            flight = self._flights.get(key)
            mine: Future[T] = Future()
            if flight is None:
                self._flights[key] = mine
        if flight is not None:
            return self._share(flight, wait_seconds)
        return self._fly(key, mine, lead), False

    def part(self, belongs: Callable[[K], bool]) -> None:
        """Let nobody join any more those flights whose keys belong to what has just changed."""
        with self._lock:
            for key in [each for each in self._flights if belongs(each)]:
                del self._flights[key]

    def _share(self, flight: Future[T], wait_seconds: float) -> tuple[T, bool]:
        try:
            return flight.result(timeout=max(0.0, wait_seconds)), True
        except WaitTimeoutError:
            if not flight.done():
                raise WaitedTooLongError from None
        # It landed at the last moment, or the leader itself met a time-out.
        return flight.result(), True

    def _fly(self, key: K, mine: Future[T], lead: Callable[[], T]) -> T:
        try:
            answer = lead()
        except BaseException as failed:
            self._land(key, mine)
            mine.set_exception(failed)
            raise
        self._land(key, mine)
        mine.set_result(answer)
        return answer

    def _land(self, key: K, mine: Future[T]) -> None:
        """Whoever comes from now on leads a flight of its own."""
        with self._lock:
            if self._flights.get(key) is mine:
                del self._flights[key]
