"""Group commit: batching, results, failures and time-outs, and no operation left waiting."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.group_commit import MAX_BATCH, GroupCommit

# A wait that only a failing test reaches.
LONG_SECONDS = 20.0


class DoublingStore:
    """A store that doubles numbers; its first batch ends when `first_may_end` is set."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[list[int]] = []
        self.first_may_end, self.first_began = threading.Event(), threading.Event()
        self.fails: BaseException | None = None
        self.group_commit = GroupCommit[int, int](self.run, **options)

    def run(self, batch: Sequence[int], give_up_at: float) -> list[int]:
        self.batches.append(list(batch))
        if len(self.batches) == 1:
            self.first_began.set()
            assert self.first_may_end.wait(LONG_SECONDS)
        elif self.fails:
            raise self.fails
        return [2 * each for each in batch]

    def do(self, op: int) -> int:
        return self.group_commit.do(op, time.monotonic() + LONG_SECONDS)

    def is_idle(self) -> bool:
        return not self.group_commit._waiting and self.group_commit._running == 0


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_SECONDS
    while not true():
        assert time.monotonic() < end


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as threads:
        yield threads


def begun(store: DoublingStore, pool: ThreadPoolExecutor) -> Future[int]:
    """Start a batch that does not end yet."""
    first = pool.submit(store.do, 0)
    assert store.first_began.wait(LONG_SECONDS)
    return first


def waiting(store: DoublingStore, pool: ThreadPoolExecutor, count: int) -> list[Future[int]]:
    others = [pool.submit(store.do, number) for number in range(1, count + 1)]
    until(lambda: len(store.group_commit._waiting) == count)
    return others


def test_an_operation_at_an_idle_store_runs_at_once() -> None:
    slept: list[float] = []
    store = DoublingStore(pace_seconds=0.002, sleep=slept.append)
    store.first_may_end.set()
    assert store.do(1) == 2
    assert (store.batches, slept) == ([[1]], [])
    assert store.is_idle()


def test_waiting_operations_share_a_batch_with_own_results(pool: ThreadPoolExecutor) -> None:
    store = DoublingStore()
    first = begun(store, pool)
    others = waiting(store, pool, 5)
    store.first_may_end.set()
    assert first.result() == 0
    assert [each.result() for each in others] == [2, 4, 6, 8, 10]
    assert [sorted(batch) for batch in store.batches] == [[0], [1, 2, 3, 4, 5]]
    until(store.is_idle)


def test_a_batch_has_at_most_max_batch_operations(pool: ThreadPoolExecutor) -> None:
    store = DoublingStore()
    begun(store, pool)
    others = waiting(store, pool, MAX_BATCH + 10)
    store.first_may_end.set()
    assert [each.result() for each in others] == [2 * n for n in range(1, MAX_BATCH + 11)]
    assert [len(batch) for batch in store.batches] == [1, MAX_BATCH, 10]


def test_batches_of_different_threads_keep_the_pace(pool: ThreadPoolExecutor) -> None:
    now, slept = [100.0], list[float]()
    store = DoublingStore(pace_seconds=0.002, clock=lambda: now[0], sleep=slept.append)
    store.first_may_end.set()
    pool.submit(store.group_commit.do, 1, 200.0).result()
    now[0] += 0.0015
    store.group_commit.do(2, 200.0)
    now[0] += 0.002
    pool.submit(store.group_commit.do, 3, 200.0).result()
    assert slept == [pytest.approx(0.0005)]


def test_a_single_thread_is_not_paced() -> None:
    slept: list[float] = []
    store = DoublingStore(pace_seconds=1.0, clock=lambda: 100.0, sleep=slept.append)
    store.first_may_end.set()
    assert [store.group_commit.do(number, 200.0) for number in (1, 2, 3)] == [2, 4, 6]
    assert slept == []


@pytest.mark.parametrize("failure", [StoreUnavailable("down"), RuntimeError(), KeyboardInterrupt()])
def test_a_failed_batch_fails_all_its_operations_and_no_others(
    pool: ThreadPoolExecutor, failure: BaseException
) -> None:
    store = DoublingStore()
    store.fails = failure
    first = begun(store, pool)
    others = waiting(store, pool, 5)
    store.first_may_end.set()
    raised = [type(each.exception(LONG_SECONDS)) for each in others]
    assert sorted(raised, key=str) == sorted([type(failure), *[StoreUnavailable] * 4], key=str)
    assert first.result() == 0
    store.fails = None
    assert store.do(7) == 14


def test_an_interrupted_leader_hands_over(
    pool: ThreadPoolExecutor,
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    store = DoublingStore(pace_seconds=1.0, clock=lambda: 100.0, sleep=interrupted)
    store.first_may_end.set()
    pool.submit(store.group_commit.do, 1, 200.0).result()
    with pytest.raises(KeyboardInterrupt):
        store.group_commit.do(2, 200.0)
    assert store.is_idle()
    assert store.group_commit.do(3, 200.0) == 6


def test_an_operation_that_timed_out_is_not_in_a_later_batch(
    pool: ThreadPoolExecutor,
) -> None:
    store = DoublingStore()
    begun(store, pool)
    with pytest.raises(StoreUnavailable):
        store.group_commit.do(1, time.monotonic())
    (other,) = waiting(store, pool, 1)
    store.first_may_end.set()
    assert other.result() == 2
    assert store.batches == [[0], [1]]


def test_a_slow_batch_delays_no_later_operation(pool: ThreadPoolExecutor) -> None:
    store = DoublingStore(late_seconds=0.0, max_concurrent=2)
    first = begun(store, pool)
    assert [store.do(number) for number in (1, 2, 3)] == [2, 4, 6]
    assert not first.done()
    store.first_may_end.set()
    assert first.result() == 0
    assert store.is_idle()


def test_max_concurrent_limits_the_running_batches(pool: ThreadPoolExecutor) -> None:
    store = DoublingStore(late_seconds=0.0, max_concurrent=1)
    begun(store, pool)
    with pytest.raises(StoreUnavailable):
        store.group_commit.do(1, time.monotonic() + 0.01)
    store.first_may_end.set()


@pytest.mark.parametrize("limit", [1, 3])
def test_no_operation_is_left_after_failures_and_time_outs(
    pool: ThreadPoolExecutor, limit: int
) -> None:
    running, most = [0], [0]

    def run(batch: Sequence[int], _: float) -> list[int]:
        running[0] += 1
        most[0] = max(most[0], running[0])
        threading.Event().wait(random.random() / 2_000)
        running[0] -= 1
        if random.random() < 0.05:
            raise StoreUnavailable
        return [-each for each in batch]

    group_commit = GroupCommit[int, int](
        run, pace_seconds=1e-4, late_seconds=2e-4, max_concurrent=limit
    )

    def work(number: int) -> int:
        told = 0
        for op in range(number * 100, number * 100 + 100):
            try:
                assert group_commit.do(op, time.monotonic() + random.choice([0.0, 1e-3, 20])) == -op
                told += 1
            except StoreUnavailable:
                pass
        return told

    assert sum(pool.map(work, range(40))) > 1_000
    assert most[0] <= limit
    assert (group_commit._running, group_commit._waiting, group_commit._next_leader) == (
        0,
        {},
        None,
    )
