"""Tells the beginning and the end of an outage from the single failures in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

# After a failure, successes count as a recovery only after this long without another failure.
# Otherwise a server that answers half of the requests would fill the log.
QUIET_SECONDS = 5.0


class Outage:
    """The causes for which a server has failed since it last recovered; shared by all threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._causes: set[Hashable] = set()
        self._failed_at = 0.0

    def begins(self, cause: Hashable) -> bool:
        """Note a failure; return whether its cause is new, and so worth a line in the log."""
        with self._lock:
            self._failed_at = self._clock()
            is_new = cause not in self._causes
            self._causes.add(cause)
        return is_new

    def ends(self) -> bool:
        """Note a success; return whether the server has recovered with it."""
        if not self._causes:
            return False
        with self._lock:
            if not self._causes or self._clock() - self._failed_at < QUIET_SECONDS:
                return False
            self._causes.clear()
        return True
