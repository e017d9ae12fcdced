"""The state of a gateway, logged once whenever it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from payment_service.gateways.send_report import Meaning, Send
from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.outage import Outage
from payment_service.schema.gateway_names import GATEWAY_TITLES

# Answers about one order or one request: the gateway itself works.
OF_ONE_ORDER = frozenset({Meaning.NO, Meaning.MISUSED, Meaning.BUSY})

log = logging.getLogger(__name__)


class GatewayOutage:
    """Logs why a gateway fails: each class and phase once, until the gateway has recovered."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, gateway: str = DEFAULT_GATEWAY
    ) -> None:
        self._outage, self._title = Outage(clock), GATEWAY_TITLES[gateway]

    def send(self, send: Send) -> None:
        """Take the result of a send into account."""
        if send.verdict is None or send.verdict.meaning in OF_ONE_ORDER:
            if self._outage.ends():
                log.warning("%s answers again", self._title)
            return
        reason, status = send.verdict.meaning.name.lower(), send.status
        if self._outage.begins((reason, send.phase, status)):
            facts = {"reason": reason, "phase": send.phase, "status": status, "cause": send.cause}
            log.error("calls to %s fail", self._title, extra=facts)
