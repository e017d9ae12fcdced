"""The state of a gateway, logged once whenever it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from payment_service.gateways.sends import Meaning, Send
from payment_service.outage import Outage

# Answers about one order or one request: the gateway itself works.
OF_ONE_ORDER = frozenset({Meaning.NO, Meaning.MISUSED, Meaning.BUSY})

log = logging.getLogger(__name__)


class GatewayOutage:
    """Logs why a gateway fails: each class and phase once, until the gateway has recovered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._outage = Outage(clock)

    def send(self, send: Send) -> None:
        """Take the result of a send into account."""
        if send.verdict is None or send.verdict.meaning in OF_ONE_ORDER:
            if self._outage.ends():
                log.warning("Stripe answers again")
            return
        reason, status = send.verdict.meaning.name.lower(), send.verdict.status
        if self._outage.begins((reason, send.phase, status)):
            facts = {"reason": reason, "phase": send.phase, "status": status, "cause": send.cause}
            log.error("calls to Stripe fail", extra=facts)
