"""Coalesce simultaneous requests for one order in a process: one leads, the others wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class WaitedTooLongError(Exception):
    """The leader did not finish in time."""


class SingleFlight(Generic[K, T]):
    """Rule 7 within a process: followers share the leader's answer without polling."""

    def __init__(self) -> None:
        self._flights: dict[K, Future[T]] = {}
        self._lock = threading.Lock()

    def run(self, key: K, lead: Callable[[], T], wait_seconds: float) -> tuple[T, bool]:
        """Return the result of `lead`, and whether it came from another thread's call.

        An exception of `lead` is raised in the leader and in every follower. A follower raises
        WaitedTooLongError after `wait_seconds`.
        """
        with self._lock:
            flight = self._flights.get(key)
            mine: Future[T] = Future()
            if flight is None:
                self._flights[key] = mine
        if flight is not None:
            return self._share(flight, wait_seconds)
        try:
            answer = lead()
        except BaseException as failed:
            self._land(key, mine)
            mine.set_exception(failed)
            raise
        self._land(key, mine)
        mine.set_result(answer)
        return answer, False

    def part(self, belongs: Callable[[K], bool]) -> None:
        """Close the flights whose keys `belongs` accepts to new followers: their order changed."""
        with self._lock:
            for key in [each for each in self._flights if belongs(each)]:
                del self._flights[key]

    def _share(self, flight: Future[T], wait_seconds: float) -> tuple[T, bool]:
        try:
            return flight.result(timeout=max(0.0, wait_seconds)), True
        except WaitTimeoutError:
            if not flight.done():
                raise WaitedTooLongError from None
        # The flight finished at the last moment, or the leader itself raised a time-out.
        return flight.result(), True

    def _land(self, key: K, mine: Future[T]) -> None:
        """Remove the flight, so that the next caller leads a new one."""
        with self._lock:
            if self._flights.get(key) is mine:
                del self._flights[key]
