"""The retry loop around a send to a gateway: the number of sends and the back-off.

Each gateway's verdicts decide whether a failure is worth a retry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.send_report import RetryDetails, Verdict

# The first wait is about a second: long enough for a connection to recover or a lock to be
# released, short enough for a shopper. Each further wait is twice as long.
FIRST_WAIT_SECONDS, BASE = 1.0, 2.0

# Each wait is multiplied by a random factor from this range, so that requests that failed together
# do not retry together.
JITTER = (0.75, 1.25)

# A send with less time than this is too likely to lose its answer.
LEAST_SEND_SECONDS = 0.3


T = TypeVar("T")


class SendFailed(Exception):
    """A failed send; its `__cause__` is what happened."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.meaning.name)
        self.verdict = verdict


class RetryPolicy(Struct, frozen=True):
    """The one retry loop for sends: the maximum number of sends and the back-off."""

    max_sends: int = 3
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def run(
        self,
        send: Callable[[], T],
        deadline: Deadline,
        report: Callable[[RetryDetails], None] = lambda _: None,
    ) -> T:
        """Call `send` until it succeeds, and return its result.

        Raises the last SendFailed if it is final, if the sends are used up, or if the deadline
        leaves no time for the wait and another send.
        """
        number = 0
        while True:
            number += 1
            try:
                return send()
            except SendFailed as failed:
                wait = self._wait(number, failed.verdict)
                too_late = deadline.left() - wait < LEAST_SEND_SECONDS
                if not failed.verdict.again or number >= self.max_sends or too_late:
                    raise
                report(RetryDetails(number, wait, failed.verdict))
            self.sleep(wait)

    def _wait(self, number: int, verdict: Verdict) -> float:
        """Return the back-off, or the gateway's Retry-After if that is longer."""
        backoff = FIRST_WAIT_SECONDS * BASE ** (number - 1) * self.uniform(*JITTER)
        return max(backoff, verdict.retry_after_seconds or 0.0)
