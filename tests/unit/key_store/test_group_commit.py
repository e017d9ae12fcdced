"""Group commit: concurrent operations share a batch, and each caller gets its own result."""

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

# Upper bound for events that must happen; reached only when a test fails.
LONG_SECONDS = 20.0


class BatchingStore:
    """A store that doubles numbers, and holds its first batch wait_until the test releases it."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[list[int]] = []
        self.release_first, self.first_began = threading.Event(), threading.Event()
        self.fails: BaseException | None = None
        self.combiner = Combiner[int, int](self.run, **options)

    def run(self, batch: Sequence[int], give_up_at: float) -> list[int]:
        self.batches.append(list(batch))
        if len(self.batches) == 1:
            self.first_began.set()
            assert self.release_first.wait(LONG_SECONDS)
        elif self.fails:
            raise self.fails
        return [2 * each for each in batch]

    def do(self, op: int) -> int:
        return self.combiner.do(op, time.monotonic() + LONG_SECONDS)

    def has_no_pending_work(self) -> bool:
        return not self.combiner._waiting and self.combiner._under_way == 0


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < end


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(100) as threads:
        yield threads


def start_first_batch(batching: BatchingStore, pool: ThreadPoolExecutor) -> Future[int]:
    """Start one operation whose batch stays in flight."""
    first = pool.submit(batching.do, 0)
    assert batching.first_began.wait(LONG_SECONDS)
    return first


def queue_operations(
    batching: BatchingStore, pool: ThreadPoolExecutor, count: int
) -> list[Future[int]]:
    others = [pool.submit(batching.do, number) for number in range(1, count + 1)]
    wait_until(lambda: len(batching.combiner._waiting) == count)
    return others


def test_single_operation_runs_at_once() -> None:
    slept: list[float] = []
    batching = BatchingStore(pace_seconds=0.002, sleep=slept.append)
    batching.release_first.set()
    assert batching.do(1) == 2
    assert (batching.batches, slept) == ([[1]], [])
    assert batching.has_no_pending_work()


def test_queued_operations_share_a_batch(pool: ThreadPoolExecutor) -> None:
    batching = BatchingStore()
    first = start_first_batch(batching, pool)
    others = queue_operations(batching, pool, 5)
    batching.release_first.set()
    assert first.result() == 0
    assert [each.result() for each in others] == [2, 4, 6, 8, 10]
    assert [sorted(batch) for batch in batching.batches] == [[0], [1, 2, 3, 4, 5]]
    wait_until(batching.has_no_pending_work)


def test_batch_size_is_limited(pool: ThreadPoolExecutor) -> None:
    batching = BatchingStore()
    start_first_batch(batching, pool)
    others = queue_operations(batching, pool, MOST + 10)
    batching.release_first.set()
    assert [each.result() for each in others] == [2 * n for n in range(1, MOST + 11)]
    assert [len(batch) for batch in batching.batches] == [1, MOST, 10]


def test_busy_store_delays_a_batch_to_fill_it(pool: ThreadPoolExecutor) -> None:
    now, slept = [100.0], list[float]()
    batching = BatchingStore(pace_seconds=0.002, clock=lambda: now[0], sleep=slept.append)
    batching.release_first.set()
    pool.submit(batching.combiner.do, 1, 200.0).result()
    now[0] += 0.0015
    batching.combiner.do(2, 200.0)
    now[0] += 0.002
    pool.submit(batching.combiner.do, 3, 200.0).result()
    assert slept == [pytest.approx(0.0005)]


def test_sequential_operations_are_not_delayed() -> None:
    slept: list[float] = []
    batching = BatchingStore(pace_seconds=1.0, clock=lambda: 100.0, sleep=slept.append)
    batching.release_first.set()
    assert [batching.combiner.do(number, 200.0) for number in (1, 2, 3)] == [2, 4, 6]
    assert slept == []


@pytest.mark.parametrize("failure", [StoreUnavailable("down"), RuntimeError(), KeyboardInterrupt()])
def test_failed_batch_fails_exactly_its_own_operations(
    pool: ThreadPoolExecutor, failure: BaseException
) -> None:
    batching = BatchingStore()
    batching.fails = failure
    first = start_first_batch(batching, pool)
    others = queue_operations(batching, pool, 5)
    batching.release_first.set()
    raised = [type(each.exception(LONG_SECONDS)) for each in others]
    assert sorted(raised, key=str) == sorted([type(failure), *[StoreUnavailable] * 4], key=str)
    assert first.result() == 0
    batching.fails = None
    assert batching.do(7) == 14


def test_interrupted_leader_hands_over_the_lead(
    pool: ThreadPoolExecutor,
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    batching = BatchingStore(pace_seconds=1.0, clock=lambda: 100.0, sleep=interrupted)
    batching.release_first.set()
    pool.submit(batching.combiner.do, 1, 200.0).result()
    with pytest.raises(KeyboardInterrupt):
        batching.combiner.do(2, 200.0)
    assert batching.has_no_pending_work()
    assert batching.combiner.do(3, 200.0) == 6


def test_timed_out_operation_leaves_the_queue(
    pool: ThreadPoolExecutor,
) -> None:
    batching = BatchingStore()
    start_first_batch(batching, pool)
    with pytest.raises(StoreUnavailable):
        batching.combiner.do(1, time.monotonic())
    (other,) = queue_operations(batching, pool, 1)
    batching.release_first.set()
    assert other.result() == 2
    assert batching.batches == [[0], [1]]


def test_hanging_batch_delays_only_its_own_operations(pool: ThreadPoolExecutor) -> None:
    batching = BatchingStore(late_seconds=0.0, trips=2)
    first = start_first_batch(batching, pool)
    assert [batching.do(number) for number in (1, 2, 3)] == [2, 4, 6]
    assert not first.done()
    batching.release_first.set()
    assert first.result() == 0
    assert batching.has_no_pending_work()


def test_concurrent_batches_are_limited(pool: ThreadPoolExecutor) -> None:
    batching = BatchingStore(late_seconds=0.0, trips=1)
    start_first_batch(batching, pool)
    with pytest.raises(StoreUnavailable):
        batching.combiner.do(1, time.monotonic() + 0.01)
    batching.release_first.set()


@pytest.mark.parametrize("limit", [1, 3])
def test_every_operation_ends_under_failures_and_timeouts(
    pool: ThreadPoolExecutor, limit: int
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

    combiner = Combiner[int, int](run, pace_seconds=1e-4, late_seconds=2e-4, trips=limit)

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
    assert most[0] <= limit
    assert (combiner._under_way, combiner._waiting, combiner._leader_to_be) == (0, {}, None)
