"""The state of a store's server, logged once whenever it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from payment_service.key_store.contract import Cause, StoreUnavailable
from payment_service.outage import Outage
from payment_service.schema.secret import redacted, shortened

# A server's error message is one line; a driver may add one for each host that it tried.
MAX_CHARACTERS = 600

log = logging.getLogger(__name__)


class Health:
    """Logs why a store fails: each cause once, until the store has recovered.

    `server` is the name in log lines, for example PostgreSQL.
    """

    def __init__(self, server: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._outage = server, Outage(clock)

    def failed(self, cause: Cause, reason: BaseException | str) -> StoreUnavailable:
        """Log the cause if it is new; return the error to raise, which has the same text."""
        said = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
        text = f"{self._server}: {redacted(shortened(' '.join(said.split()), MAX_CHARACTERS))}"
        if self._outage.begins(cause):
            log.error("the key store failed: %s", text, extra={"cause": cause})
        return StoreUnavailable(text, cause)

    def answered(self) -> None:
        """Log the recovery if the store failed before."""
        if self._outage.ends():
            log.warning("the key store answers again: %s", self._server)
