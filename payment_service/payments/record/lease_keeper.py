"""Renew the leases of the attempts that a process is at, so that only a dead owner loses one.

A call to Stripe takes longer than a lease now and then. A lease as long as the longest call would
hold the order of a killed process for as long (rule 5).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.record.transitions import LEASE_SECONDS

# A claim that took the store long is due sooner after it is held, so look more often than leases
# become due.
MOST_WAIT_SECONDS = LEASE_SECONDS / 6

# One renewal takes 1 to 10 ms. Renewals of several threads share commits and round trips, so that
# 400 slow calls at once are renewed in a fraction of a second.
RENEWALS_PER_THREAD, MOST_THREADS = 10, 8

# The thread ends when nothing was held for this many rounds, about 20 seconds.
IDLE_ROUNDS = 30

log = logging.getLogger(__name__)


class Renewable(Protocol):
    """A lease. `renew_at`: when its next renewal is due (seconds of time.monotonic)."""

    renew_at: float

    def renew(self) -> None:
        """Renew the lease and set `renew_at`. Raises StoreUnavailable, RecordChanged."""
        ...

    def end_renewals(self) -> None:
        """Wait for a renewal under way; later calls of `renew` do nothing."""
        ...


class LeaseKeeper:
    """Holds the leases of a process; shared by its threads.

    `in_background`: renew in a thread, which starts with the first lease and ends when idle. A
    child process after a fork needs its own keeper.
    """

    def __init__(
        self, *, in_background: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._in_background, self._monotonic = in_background, monotonic
        # Operations on a set are atomic, so a fast call pays no lock.
        self._held: set[Renewable] = set()
        self._lock = threading.Lock()
        self._running = False

    def hold(self, lease: Renewable) -> None:
        """Renew this lease whenever it is due, until `drop`."""
        self._held.add(lease)
        if self._in_background and not self._running:
            self._start()

    def drop(self, lease: Renewable) -> None:
        """Do not renew this lease any more; on return no renewal of it is under way."""
        self._held.discard(lease)
        lease.end_renewals()

    def renew_due(self) -> bool:
        """Renew every lease that is due, the oldest first; return whether the store answered."""
        now = self._monotonic()
        due = [lease for lease in tuple(self._held) if lease.renew_at <= now]
        queue = deque(sorted(due, key=lambda lease: lease.renew_at))
        helpers = [
            threading.Thread(target=_renew, args=(queue,), name="leases", daemon=True)
            for _ in range(min(MOST_THREADS, len(queue) // RENEWALS_PER_THREAD))
        ]
        try:
            for helper in helpers:
                helper.start()
        except RuntimeError:
            log.debug("no thread is left to help with renewals")
        answered = _renew(queue)
        for helper in helpers:
            if helper.ident is not None:
                helper.join()
        return answered

    def _start(self) -> None:
        with self._lock:
            if self._running:
                return
            try:
                threading.Thread(target=self._run, name="leases", daemon=True).start()
                self._running = True
            except RuntimeError:
                # The process is ending, or has no thread left: its leases expire.
                log.debug("no thread is left for renewals")

    def _run(self) -> None:
        idle_rounds, answered = 0, True
        while idle_rounds < IDLE_ROUNDS or not self._ended():
            time.sleep(self._wait_seconds() if answered else MOST_WAIT_SECONDS)
            idle_rounds = 0 if self._held else idle_rounds + 1
            answered = self.renew_due()

    def _wait_seconds(self) -> float:
        first = min((lease.renew_at for lease in tuple(self._held)), default=float("inf"))
        return min(MOST_WAIT_SECONDS, max(0.01, first - self._monotonic()))

    def _ended(self) -> bool:
        """End the thread, unless a lease came meanwhile: its `hold` may have seen us running."""
        with self._lock:
            self._running = False
            if not self._held:
                return True
            self._running = True
            return False


def _renew(queue: deque[Renewable]) -> bool:
    """Renew the leases of a queue, shared with other threads; return whether the store answered."""
    while queue:
        try:
            queue.popleft().renew()
        except IndexError:
            break
        except StoreUnavailable:
            # Each further renewal would take as long to fail. They are due again in the next round.
            queue.clear()
            return False
        except RecordChanged:
            continue
        except Exception:
            # One lease must not cost the others theirs.
            log.exception("a lease was not renewed")
    return True
