"""Let operations that meet at the store share one trip to it.

Whoever comes when nobody else was there for a moment goes at once, alone. Others wait, for the
trip before theirs to end and for that moment to pass, and the last of them takes all along.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from payment_service.key_store.contract import StoreUnavailable

# One trip takes no more, so that its length is bounded; hundreds of threads rarely fill it.
MOST = 64

Op = TypeVar("Op")
Result = TypeVar("Result")


class Combiner(Generic[Op, Result]):
    """Runs operations in batches: one trip at a time, and beside one that is late another.

    `run` is given a batch and the instant of `clock` at which it must have ended; it returns one
    result for each, in their order. What it raises is StoreUnavailable to all but the leader.

    Trips begin `pace_seconds` apart, so that each has company when many come. A thread after which
    no other came need not wait for itself.
    Nobody waits for a trip longer than `late_seconds` while fewer than `trips` are under way.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Op], float], Sequence[Result]],
        *,
        pace_seconds: float = 0.0,
        late_seconds: float = threading.TIMEOUT_MAX,
        trips: int = 1,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._run, self._clock, self._sleep = run, clock, sleep
        self._pace_seconds = pace_seconds
        self._late_seconds, self._trips = late_seconds, trips
        # What follows is changed under the mutex only. Somebody waits only while a trip is under
        # way: each that ends makes one of those who wait the leader of the next.
        self._mutex = threading.Lock()
        self._waiting: dict[_Member[Op, Result], None] = {}
        self._under_way = 0
        self._leader_to_be: _Member[Op, Result] | None = None
        self._last_began_at = -math.inf
        self._last_comer = 0

    def do(self, op: Op, give_up_at: float) -> Result:
        """Run `op`, perhaps with others; return its result or raise StoreUnavailable by then."""
        mine = _Member[Op, Result](op)
        try:
            if not self._come(mine):
                self._wait(mine, give_up_at - self._clock())
            if mine.leads:
                self._lead(mine, give_up_at)
        finally:
            self._leave(mine)
        return mine.result()

    def _come(self, mine: _Member[Op, Result]) -> bool:
        """Lead if nobody is under way, else wait; tell which."""
        thread = threading.get_ident()
        with self._mutex:
            mine.has_company, self._last_comer = self._last_comer != thread, thread
            if self._under_way:
                self._waiting[mine] = None
            else:
                self._under_way = 1
                self._leader_to_be, mine.leads = mine, True
            return mine.leads

    def _wait(self, mine: _Member[Op, Result], seconds: float) -> None:
        if not mine.wait(min(seconds, self._late_seconds)) and not self._begin_beside(mine):
            mine.wait(seconds - self._late_seconds)

    def _begin_beside(self, mine: _Member[Op, Result]) -> bool:
        """Lead a trip beside the one that is late, if there may be one more."""
        with self._mutex:
            if self._leader_to_be or self._under_way >= self._trips or mine not in self._waiting:
                return False
            self._under_way += 1
            self._appoint(mine)
            return True

    def _lead(self, mine: _Member[Op, Result], give_up_at: float) -> None:
        early_seconds = self._last_began_at + self._pace_seconds - self._clock()
        if early_seconds > 0 and mine.has_company:
            self._sleep(early_seconds)
        batch = self._take_along(mine)
        failure: BaseException | None = None
        results: Sequence[Result] = ()
        try:
            results = self._run([each.op for each in batch], give_up_at)
        except BaseException as failed:
            failure = failed
            raise
        finally:
            self._end_trip()
            for each, result in zip(batch, results, strict=False):
                each.end(result)
            for each in batch[len(results) :]:
                each.fail(failure)

    def _take_along(self, mine: _Member[Op, Result]) -> list[_Member[Op, Result]]:
        """Begin the trip; return the batch in the order of coming."""
        with self._mutex:
            self._leader_to_be, self._last_began_at = None, self._clock()
            others = list(islice(self._waiting, MOST - 1))
            for each in others:
                del self._waiting[each]
        return [*others, mine]

    def _end_trip(self) -> None:
        """Let the newest of those who wait lead the next: it has most time left."""
        with self._mutex:
            if self._waiting and self._leader_to_be is None:
                self._appoint(next(reversed(self._waiting)))
            else:
                self._under_way -= 1

    def _appoint(self, leader: _Member[Op, Result]) -> None:
        del self._waiting[leader]
        self._leader_to_be, leader.leads = leader, True
        leader.wake()

    def _leave(self, mine: _Member[Op, Result]) -> None:
        """Come out, however; whoever was to lead and did not lets another."""
        with self._mutex:
            self._waiting.pop(mine, None)
            gave_up = self._leader_to_be is mine
            if gave_up:
                self._leader_to_be = None
        if gave_up:
            self._end_trip()


class _Member(Generic[Op, Result]):
    """One who waits: for the result, or for the lead."""

    __slots__ = ("_failure", "_results", "_turn", "has_company", "leads", "op")

    def __init__(self, op: Op) -> None:
        self.op, self.leads = op, False
        # Whether another thread was the last to come.
        self.has_company = True
        self._results: tuple[Result, ...] = ()
        self._failure: BaseException | None = None
        # A bare lock, held until wake(): one change of threads each, and nothing else.
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
        if not self._results:
            raise StoreUnavailable("the store did not answer in time") from self._failure
        return self._results[0]
