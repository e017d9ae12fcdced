"""The state of a store's server, logged once whenever it changes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from payment_service.key_store.contract import Cause, StoreUnavailable
from payment_service.schema.secret import redacted, shortened

# After a failure, successes count as a recovery only after this long without another failure.
# Otherwise a store that serves half of the orders would fill the log.
QUIET_SECONDS = 5.0

# A server's error message is one line; a driver may add one for each host that it tried.
MAX_CHARACTERS = 600

log = logging.getLogger(__name__)


class Health:
    """Logs why a store fails: each cause once, until the store has recovered.

    `server` is the name in log lines, for example PostgreSQL.
    """

    def __init__(self, server: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._clock = server, clock
        self._lock = threading.Lock()
        self._causes: set[Cause] = set()
        self._failed_at = 0.0

    def failed(self, cause: Cause, reason: BaseException | str) -> StoreUnavailable:
        """Log the cause if it is new; return the error to raise, which has the same text."""
        said = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
        text = f"{self._server}: {redacted(shortened(' '.join(said.split()), MAX_CHARACTERS))}"
        with self._lock:
            self._failed_at = self._clock()
            is_new = cause not in self._causes
            self._causes.add(cause)
        if is_new:
            log.error("the key store failed: %s", text, extra={"cause": cause})
        return StoreUnavailable(text, cause)

    def answered(self) -> None:
        """Log the recovery if the store failed before."""
        if not self._causes:
            return
        with self._lock:
            if not self._causes or self._clock() - self._failed_at < QUIET_SECONDS:
                return
            self._causes.clear()
        log.warning("the key store answers again: %s", self._server)
