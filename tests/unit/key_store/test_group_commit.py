"""Operations that share a trip: who waits for whom, who is told what, and that nobody is left."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.group_commit import MOST, Combiner

# For what must not happen at all.
LONG_SECONDS = 20.0


class Trips:
    """A store that doubles numbers, and lets the first trip end when it is told to."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[list[int]] = []
        self.first_may_end, self.first_began = threading.Event(), threading.Event()
        self.fails: BaseException | None = None
        self.combiner = Combiner[int, int](self.run, **options)

    def run(self, batch: Sequence[int], give_up_at: float) -> list[int]:
        self.batches.append(list(batch))
        if len(self.batches) == 1:
            self.first_began.set()
            assert self.first_may_end.wait(LONG_SECONDS)
        elif self.fails:
            raise self.fails
        return [2 * each for each in batch]

    def do(self, op: int) -> int:
        return self.combiner.do(op, time.monotonic() + LONG_SECONDS)

    def is_idle(self) -> bool:
        return not self.combiner._waiting and self.combiner._under_way == 0


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_SECONDS
    while not true():
        assert time.monotonic() < end


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as threads:
        yield threads


def begun(trips: Trips, pool: ThreadPoolExecutor) -> Future[int]:
    """One is under way, and stays there."""
    first = pool.submit(trips.do, 0)
    assert trips.first_began.wait(LONG_SECONDS)
    return first


def waiting(trips: Trips, pool: ThreadPoolExecutor, count: int) -> list[Future[int]]:
    others = [pool.submit(trips.do, number) for number in range(1, count + 1)]
    until(lambda: len(trips.combiner._waiting) == count)
    return others


def test_whoever_is_alone_goes_alone_and_at_once() -> None:
    slept: list[float] = []
    trips = Trips(pace_seconds=0.002, sleep=slept.append)
    trips.first_may_end.set()
    assert trips.do(1) == 2
    assert (trips.batches, slept) == ([[1]], [])
    assert trips.is_idle()


def test_those_who_wait_go_together_and_each_has_its_own_result(pool: ThreadPoolExecutor) -> None:
    trips = Trips()
    first = begun(trips, pool)
    others = waiting(trips, pool, 5)
    trips.first_may_end.set()
    assert first.result() == 0
    assert [each.result() for each in others] == [2, 4, 6, 8, 10]
    assert [sorted(batch) for batch in trips.batches] == [[0], [1, 2, 3, 4, 5]]
    until(trips.is_idle)


def test_a_trip_takes_no_more_than_it_may(pool: ThreadPoolExecutor) -> None:
    trips = Trips()
    begun(trips, pool)
    others = waiting(trips, pool, MOST + 10)
    trips.first_may_end.set()
    assert [each.result() for each in others] == [2 * n for n in range(1, MOST + 11)]
    assert [len(batch) for batch in trips.batches] == [1, MOST, 10]


def test_a_trip_that_comes_soon_after_anothers_waits_for_company(pool: ThreadPoolExecutor) -> None:
    now, slept = [100.0], list[float]()
    trips = Trips(pace_seconds=0.002, clock=lambda: now[0], sleep=slept.append)
    trips.first_may_end.set()
    pool.submit(trips.combiner.do, 1, 200.0).result()
    now[0] += 0.0015
    trips.combiner.do(2, 200.0)
    now[0] += 0.002
    pool.submit(trips.combiner.do, 3, 200.0).result()
    assert slept == [pytest.approx(0.0005)]


def test_a_thread_does_not_wait_for_itself() -> None:
    slept: list[float] = []
    trips = Trips(pace_seconds=1.0, clock=lambda: 100.0, sleep=slept.append)
    trips.first_may_end.set()
    assert [trips.combiner.do(number, 200.0) for number in (1, 2, 3)] == [2, 4, 6]
    assert slept == []


@pytest.mark.parametrize("failure", [StoreUnavailable("down"), RuntimeError(), KeyboardInterrupt()])
def test_a_trip_that_fails_fails_all_who_were_on_it_and_nobody_else(
    pool: ThreadPoolExecutor, failure: BaseException
) -> None:
    trips = Trips()
    trips.fails = failure
    first = begun(trips, pool)
    others = waiting(trips, pool, 5)
    trips.first_may_end.set()
    raised = [type(each.exception(LONG_SECONDS)) for each in others]
    assert sorted(raised, key=str) == sorted([type(failure), *[StoreUnavailable] * 4], key=str)
    assert first.result() == 0
    trips.fails = None
    assert trips.do(7) == 14


def test_a_leader_that_is_stopped_before_it_begins_leaves_the_lead_to_another(
    pool: ThreadPoolExecutor,
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    trips = Trips(pace_seconds=1.0, clock=lambda: 100.0, sleep=interrupted)
    trips.first_may_end.set()
    pool.submit(trips.combiner.do, 1, 200.0).result()
    with pytest.raises(KeyboardInterrupt):
        trips.combiner.do(2, 200.0)
    assert trips.is_idle()
    assert trips.combiner.do(3, 200.0) == 6


def test_nobody_waits_beyond_its_time_and_who_left_is_not_taken_along(
    pool: ThreadPoolExecutor,
) -> None:
    trips = Trips()
    begun(trips, pool)
    with pytest.raises(StoreUnavailable):
        trips.combiner.do(1, time.monotonic())
    (other,) = waiting(trips, pool, 1)
    trips.first_may_end.set()
    assert other.result() == 2
    assert trips.batches == [[0], [1]]


def test_a_trip_that_hangs_holds_up_those_on_it_and_no_others(pool: ThreadPoolExecutor) -> None:
    trips = Trips(late_seconds=0.0, trips=2)
    first = begun(trips, pool)
    assert [trips.do(number) for number in (1, 2, 3)] == [2, 4, 6]
    assert not first.done()
    trips.first_may_end.set()
    assert first.result() == 0
    assert trips.is_idle()


def test_no_more_trips_are_under_way_than_may_be(pool: ThreadPoolExecutor) -> None:
    trips = Trips(late_seconds=0.0, trips=1)
    begun(trips, pool)
    with pytest.raises(StoreUnavailable):
        trips.combiner.do(1, time.monotonic() + 0.01)
    trips.first_may_end.set()


@pytest.mark.parametrize("trips", [1, 3])
def test_of_many_that_come_and_fail_and_give_up_nobody_is_left(
    pool: ThreadPoolExecutor, trips: int
) -> None:
    under_way, most = [0], [0]

    def run(batch: Sequence[int], _: float) -> list[int]:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        threading.Event().wait(random.random() / 2_000)
        under_way[0] -= 1
        if random.random() < 0.05:
            raise StoreUnavailable
        return [-each for each in batch]

    combiner = Combiner[int, int](run, pace_seconds=1e-4, late_seconds=2e-4, trips=trips)

    def work(number: int) -> int:
        told = 0
        for op in range(number * 100, number * 100 + 100):
            try:
                assert combiner.do(op, time.monotonic() + random.choice([0.0, 1e-3, 20])) == -op
                told += 1
            except StoreUnavailable:
                pass
        return told

    assert sum(pool.map(work, range(40))) > 1_000
    assert most[0] <= trips
    assert (combiner._under_way, combiner._waiting, combiner._leader_to_be) == (0, {}, None)
