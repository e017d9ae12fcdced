"""Group commit: concurrent operations share one round trip to the store.

An operation that arrives at an idle store runs at once, in a batch of one. Operations that arrive
during a batch wait. When the batch ends, the newest of them leads the next batch and takes the
others along.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from payment_service.key_store.contract import StoreUnavailable

# Bounds how long one batch takes; hundreds of threads rarely fill it.
MAX_BATCH = 64

Op = TypeVar("Op")
Result = TypeVar("Result")


class GroupCommit(Generic[Op, Result]):
    """Runs the operations of many threads in batches, normally one batch at a time.

    `run` takes a batch and a deadline (an instant of `clock`) and returns one result per
    operation, in the batch's order. If `run` raises, the leader raises the same exception and the
    other threads raise StoreUnavailable.

    Batches start at least `pace_seconds` apart, so that a busy store gets large batches. A thread
    that is alone does not wait.

    A thread that has waited `late_seconds` for a slow batch starts another one, while fewer than
    `max_concurrent` batches run.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Op], float], Sequence[Result]],
        *,
        pace_seconds: float = 0.0,
        late_seconds: float = threading.TIMEOUT_MAX,
        max_concurrent: int = 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._run, self._clock, self._sleep = run, clock, sleep
        self._pace_seconds = pace_seconds
        self._late_seconds, self._max_concurrent = late_seconds, max_concurrent
        # The mutex guards all fields below. Operations wait only while a batch runs, because
        # each batch that ends appoints a waiting operation as the next leader.
        self._mutex = threading.Lock()
        self._waiting: dict[_Waiter[Op, Result], None] = {}
        self._running = 0
        self._next_leader: _Waiter[Op, Result] | None = None
        self._last_start = -math.inf
        self._last_thread = 0

    def do(self, op: Op, give_up_at: float) -> Result:
        """Run `op`, perhaps with others; return its result or raise StoreUnavailable by then."""
        waiter = _Waiter[Op, Result](op)
        try:
            if not self._join(waiter):
                self._wait(waiter, give_up_at - self._clock())
            if waiter.leads:
                self._lead(waiter, give_up_at)
        finally:
            self._leave(waiter)
        return waiter.result()

    def _join(self, waiter: _Waiter[Op, Result]) -> bool:
        """Become the leader if no batch runs, else queue; return whether it leads."""
        thread = threading.get_ident()
        with self._mutex:
            waiter.is_contended, self._last_thread = self._last_thread != thread, thread
            if self._running:
                self._waiting[waiter] = None
            else:
                self._running = 1
                self._next_leader, waiter.leads = waiter, True
            return waiter.leads

    def _wait(self, waiter: _Waiter[Op, Result], seconds: float) -> None:
        if not waiter.wait(min(seconds, self._late_seconds)) and not self._start_another(waiter):
            waiter.wait(seconds - self._late_seconds)

    def _start_another(self, waiter: _Waiter[Op, Result]) -> bool:
        """Lead another batch while a slow one still runs, if `max_concurrent` allows it."""
        with self._mutex:
            limit_reached = self._running >= self._max_concurrent
            if self._next_leader or limit_reached or waiter not in self._waiting:
                return False
            self._running += 1
            self._appoint(waiter)
            return True

    def _lead(self, waiter: _Waiter[Op, Result], give_up_at: float) -> None:
        early_seconds = self._last_start + self._pace_seconds - self._clock()
        if early_seconds > 0 and waiter.is_contended:
            self._sleep(early_seconds)
        batch = self._take_batch(waiter)
        failure: BaseException | None = None
        results: Sequence[Result] = ()
        try:
            results = self._run([each.op for each in batch], give_up_at)
        except BaseException as failed:
            failure = failed
            raise
        finally:
            self._end_batch()
            for each, result in zip(batch, results, strict=False):
                each.end(result)
            for each in batch[len(results) :]:
                each.fail(failure)

    def _take_batch(self, leader: _Waiter[Op, Result]) -> list[_Waiter[Op, Result]]:
        """Start the batch; return its operations in the order of their arrival."""
        with self._mutex:
            self._next_leader, self._last_start = None, self._clock()
            others = list(islice(self._waiting, MAX_BATCH - 1))
            for each in others:
                del self._waiting[each]
        return [*others, leader]

    def _end_batch(self) -> None:
        """Appoint the newest waiting operation as the next leader: it has the most time left."""
        with self._mutex:
            if self._waiting and self._next_leader is None:
                self._appoint(next(reversed(self._waiting)))
            else:
                self._running -= 1

    def _appoint(self, leader: _Waiter[Op, Result]) -> None:
        del self._waiting[leader]
        self._next_leader, leader.leads = leader, True
        leader.wake()

    def _leave(self, waiter: _Waiter[Op, Result]) -> None:
        """Leave the queue. An appointed leader that did not lead hands over to another."""
        with self._mutex:
            self._waiting.pop(waiter, None)
            gave_up = self._next_leader is waiter
            if gave_up:
                self._next_leader = None
        if gave_up:
            self._end_batch()


class _Waiter(Generic[Op, Result]):
    """One thread's operation, which waits for its result or to become the leader."""

    __slots__ = ("_failure", "_results", "_turn", "is_contended", "leads", "op")

    def __init__(self, op: Op) -> None:
        self.op, self.leads = op, False
        # Whether the previous operation came from another thread.
        self.is_contended = True
        self._results: tuple[Result, ...] = ()
        self._failure: BaseException | None = None
        # A bare lock, held until wake(): it costs one thread switch, less than a Condition.
        self._turn = threading.Lock()
        self._turn.acquire()

    def wait(self, seconds: float) -> bool:
        return self._turn.acquire(timeout=max(0.0, seconds))

    def wake(self) -> None:
        self._turn.release()

    def end(self, result: Result) -> None:
        self._results = (result,)
        if not self.leads:
            self.wake()

    def fail(self, failure: BaseException | None) -> None:
        self._failure = failure
        if not self.leads:
            self.wake()

    def result(self) -> Result:
        if self._results:
            return self._results[0]
        if isinstance(self._failure, StoreUnavailable):
            raise StoreUnavailable(str(self._failure), self._failure.cause) from self._failure
        raise StoreUnavailable from self._failure
