"""The loop that runs a background job for due records, in a thread or a process of its own."""

from __future__ import annotations

import logging
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

from payment_service.key_store.contract import Order, StoreError
from payment_service.payments.record.order_record import OrderRecord

log = logging.getLogger(__name__)

# Records of one lane that one process handles concurrently.
PARALLEL = 8

# Threads of one process, started on demand: that many slow lanes divided by PARALLEL do not delay
# the others.
MOST_THREADS = 128

BATCH = 200

# The poll interval of an idle service, so the longest delay of an order event.
POLL_SECONDS = 1.0

# A server that loads the service before it forks its workers does so within milliseconds.
FORK_SECONDS = 1.0


class Job(Protocol):
    """A job for the records that are due."""

    def due(self, limit: int) -> list[OrderRecord]:
        """Return due records."""
        ...

    def run(self, record: OrderRecord) -> bool:
        """Run the job for one record; return whether it is done."""
        ...


class Lanes:
    """Groups records so that those of one lane do not wait for those of another.

    `lane_of` names an order's lane: orders that wait for the same server have the same one.
    """

    def __init__(self, lane_of: Callable[[Order], Hashable] = lambda _: None) -> None:
        self._lane_of = lane_of
        self._running: dict[Hashable, list[Future[int]]] = {}

    def is_free(self, order: Order) -> bool:
        """Whether the loop would handle a record of this order now."""
        return self._lane_of(order) not in self._running

    def fill(
        self, records: Iterable[OrderRecord], start: Callable[[deque[OrderRecord]], Future[int]]
    ) -> list[Future[int]]:
        """Start the work on the records of free lanes, with at most PARALLEL threads for each.

        `start` returns the number of records that are done, once no thread can do more.
        """
        by_lane: dict[Hashable, deque[OrderRecord]] = defaultdict(deque)
        for record in records:
            if self.is_free(record.order):
                by_lane[self._lane_of(record.order)].append(record)
        for lane, queue in by_lane.items():
            self._running[lane] = [start(queue) for _ in range(min(PARALLEL, len(queue)))]
        return [each for lane in by_lane for each in self._running[lane]]

    def running(self) -> list[Future[int]]:
        """Return the work that is not known to be done."""
        return [each for lane in self._running.values() for each in lane]

    def empty(self) -> int:
        """Free the lanes whose work is done; return how many of their records are done."""
        done = 0
        for lane, running in list(self._running.items()):
            if all(each.done() for each in running):
                done += sum(each.result() for each in self._running.pop(lane))
        return done


class JobLoop:
    """Runs a job until `stop` is called. Any number of loops may run on one store."""

    def __init__(
        self, job: Job, poll_seconds: float = POLL_SECONDS, lanes: Lanes | None = None
    ) -> None:
        self._job, self._poll_seconds = job, poll_seconds
        self._lanes = lanes or Lanes()
        self._stop = threading.Event()
        self._begun = False

    def start(self) -> threading.Thread:
        """Run in a daemon thread.

        A process that forks at once leaves the job to its children, which serve in its place.
        Children must not inherit an open store, above all not an open SQLite file.
        """
        thread = threading.Thread(target=self._run_unless_forked, name="jobs", daemon=True)
        thread.start()
        os.register_at_fork(after_in_parent=self._forked)
        return thread

    def stop(self) -> None:
        """Stop once every thread has handled the record that it is at."""
        self._stop.set()

    def run(self) -> None:
        """Run until stopped; poll a key store that is down until it is back."""
        with ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="jobs") as pool:
            while not self._stop.is_set():
                if not self._round(pool):
                    self._stop.wait(self._poll_seconds)

    def _run_unless_forked(self) -> None:
        if not self._stop.wait(FORK_SECONDS):
            self._begun = True
            self.run()

    def _forked(self) -> None:
        if not self._begun:
            self.stop()

    def run_once(self) -> int:
        """Handle all records that are due now, each order's once; return how many were done.

        Raises StoreError.
        """
        delivered, failed = 0, set[Order]()
        with ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="jobs") as pool:

            def handle(queue: deque[OrderRecord]) -> int:
                done = 0
                for record in _taken_from(queue):
                    if self._job.run(record):
                        done += 1
                    else:
                        failed.add(record.order)
                return done

            while True:
                waiting = [each for each in self._job.due(BATCH) if each.order not in failed]
                if not waiting:
                    return delivered
                wait(self._lanes.fill(waiting, lambda queue: pool.submit(handle, queue)))
                delivered += self._lanes.empty()

    def _round(self, pool: ThreadPoolExecutor) -> bool:
        """Handle one batch; return whether to poll again at once.

        A lane that takes longer than the poll interval continues while the next batch starts.
        """
        try:
            due = self._job.due(BATCH)
        except StoreError as failed:
            log.warning(
                "the key store fails, so nothing is delivered or looked at again",
                extra={"cause": str(failed)},
            )
            return False
        try:
            self._lanes.fill(due, lambda queue: pool.submit(self._run_jobs, queue))
        except RuntimeError:
            # The process is ending and its pool accepts no more work: leave it to other processes.
            self.stop()
            return False
        _, slow = wait(self._lanes.running(), timeout=self._poll_seconds)
        return self._lanes.empty() > 0 or bool(slow)

    def _run_jobs(self, queue: deque[OrderRecord]) -> int:
        """Handle the records of a queue, shared with other threads; return how many were done."""
        done = 0
        for record in _taken_from(queue):
            done += self._run_job(record)
            if self._stop.is_set():
                break
        return done

    def _run_job(self, record: OrderRecord) -> bool:
        try:
            return self._job.run(record)
        except StoreError:
            return False
        except Exception:
            # One failing record must not hold up the others.
            log.exception("a record was left as it is")
            return False


def _taken_from(queue: deque[OrderRecord]) -> Iterable[OrderRecord]:
    """Yield and remove records until none is left."""
    while True:
        try:
            record = queue.popleft()
        except IndexError:
            return
        yield record
