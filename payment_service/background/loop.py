"""The loop that runs a background job for due records, in a thread or a process of its own."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from payment_service.key_store.contract import StoreError
from payment_service.payments.record.order_record import OrderRecord

log = logging.getLogger(__name__)

# Records that one process handles concurrently.
PARALLEL = 8

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


class JobLoop:
    """Runs a job until `stop` is called. Any number of loops may run on one store."""

    def __init__(self, job: Job, poll_seconds: float = POLL_SECONDS) -> None:
        self._job, self._poll_seconds = job, poll_seconds
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
        """Stop after the current batch."""
        self._stop.set()

    def run(self) -> None:
        """Run until stopped; poll a key store that is down until it is back."""
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="jobs") as pool:
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
        """Handle all records that are due now; return how many were done."""
        count = 0
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="jobs") as pool:
            while due := self._job.due(BATCH):
                done = sum(pool.map(self._job.run, due))
                count += done
                if not done:
                    break
        return count

    def _round(self, pool: ThreadPoolExecutor) -> bool:
        """Handle one batch; return whether to poll again at once."""
        try:
            due = self._job.due(BATCH)
        except StoreError:
            log.warning("the key store does not answer: nothing is delivered or looked at again")
            return False
        try:
            done = pool.map(self._run_job, due)
        except RuntimeError:
            # The process is ending and its pool accepts no more work: leave it to other processes.
            self.stop()
            return False
        return sum(done) > 0

    def _run_job(self, record: OrderRecord) -> bool:
        try:
            return self._job.run(record)
        except StoreError:
            return False
        except Exception:
            # One failing record must not hold up the others.
            log.exception("a record was left as it is")
            return False
