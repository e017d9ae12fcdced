"""Do what is due for records, in a thread or a process of its own, again and again."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from payment_service.key_store.contract import KeyRecord, StoreError

log = logging.getLogger(__name__)

# Records that are worked on at a time, by one process.
PARALLEL = 8

BATCH = 200

# How long an event may wait in an idle service.
POLL_SECONDS = 1.0

# A server that loads the service before it forks its workers does so within milliseconds.
FORK_SECONDS = 1.0


class Chore(Protocol):
    """What is to be done about records whose time has come."""

    def waiting(self, limit: int) -> list[KeyRecord]:
        """Return records with something to do."""
        ...

    def deliver(self, record: KeyRecord) -> bool:
        """Do it; tell whether it is done."""
        ...


class Courier:
    """Does a chore until it is told to stop; any number of them may run on one store."""

    def __init__(self, chore: Chore, poll_seconds: float = POLL_SECONDS) -> None:
        self._chore, self._poll_seconds = chore, poll_seconds
        self._stop = threading.Event()
        self._begun = False

    def start(self) -> threading.Thread:
        """Work in a thread that ends with the process.

        A process that forks at once leaves it to its children, which serve in its place: a store
        that it opened (a SQLite file above all) must not be open in them.
        """
        thread = threading.Thread(target=self._run_unless_forked, name="chores", daemon=True)
        thread.start()
        os.register_at_fork(after_in_parent=self._forked)
        return thread

    def stop(self) -> None:
        """End after what is under way."""
        self._stop.set()

    def run(self) -> None:
        """Work for ever; a store that is down is asked again."""
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="chores") as pool:
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
        """Do what is due now; return how many records that was."""
        delivered = 0
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="chores") as pool:
            while waiting := self._chore.waiting(BATCH):
                taken = sum(pool.map(self._chore.deliver, waiting))
                delivered += taken
                if not taken:
                    break
        return delivered

    def _round(self, pool: ThreadPoolExecutor) -> bool:
        """Work on one batch; tell whether to look again at once."""
        try:
            waiting = self._chore.waiting(BATCH)
        except StoreError:
            log.warning("the key store does not answer: nothing is delivered or looked at again")
            return False
        try:
            done = pool.map(self._deliver, waiting)
        except RuntimeError:
            # The process ends, and its pools take nothing more: it is left to the others.
            self.stop()
            return False
        return sum(done) > 0

    def _deliver(self, record: KeyRecord) -> bool:
        try:
            return self._chore.deliver(record)
        except StoreError:
            return False
        except Exception:
            # One order must not keep the others from what is to be done for them.
            log.exception("a record was left as it is")
            return False
