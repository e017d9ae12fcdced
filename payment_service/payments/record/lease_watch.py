"""How long a process has seen a lease unrenewed, by its own clock (rules 5 and 28)."""

from __future__ import annotations

import threading
from collections.abc import Hashable

# More than one process has requests in flight; each entry takes some 300 bytes.
MOST_WATCHED = 5_000


class LeaseWatch:
    """Remembers the leases that the requests of a process wait for; shared by its threads.

    It needs no agreement between clocks: an owner that lives writes a new end within a lease's
    time. It outlives a request, so that requests with a short budget take over too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[Hashable, tuple[tuple[str, float], float]] = {}

    def seen_for(self, of: Hashable, lease: tuple[str, float], now: float) -> float:
        """Return for how many seconds this process has known the lease of an order or an entry.

        `lease`: its owner and its end. Not the record's version: a history entry of another
        process shows nothing about the owner. `now`: the seconds of time.monotonic after the
        record was read.
        """
        with self._lock:
            known, since = self._seen.pop(of, (lease, now))
            if known != lease:
                since = now
            self._seen[of] = lease, since
            while len(self._seen) > MOST_WATCHED:
                del self._seen[next(iter(self._seen))]
        return now - since
