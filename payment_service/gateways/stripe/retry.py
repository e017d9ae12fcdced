"""The retry loop around a send to Stripe: the number of sends and the back-off.

gateways.stripe.verdicts decides whether a failure is worth a retry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.sends import RetryDetails, Verdict

if TYPE_CHECKING:
    from tenacity import RetryCallState

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
    """A failed send; the cause is the SDK's error."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.meaning.name)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The one retry loop for sends: the maximum number of sends and the back-off."""

    max_sends: int = 3
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def run(
        self,
        send: Callable[[], T],
        deadline: Deadline,
        tell: Callable[[RetryDetails], None] = lambda _: None,
    ) -> T:
        """Call `send` until it succeeds, and return its result.

        Raises the last SendFailed if it is final, if the sends are used up, or if the deadline
        leaves no time for the wait and another send.
        """
        try:
            return send()
        except SendFailed as failed:
            if not failed.verdict.again or self.max_sends == 1:
                raise
            # The loop starts only after a failure. Nearly every send succeeds, and the loop costs
            # as much as parsing the answer.
            return self._go_on(_after(failed, send), deadline, tell)

    def _go_on(
        self, send: Callable[[], T], deadline: Deadline, tell: Callable[[RetryDetails], None]
    ) -> T:
        # Imported at the first failure: it takes as long to load as the rest of the Stripe client.
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_again),
            wait=self._wait,
            stop=lambda state: self._enough(state, deadline),
            sleep=self.sleep,
            before_sleep=lambda state: tell(_details(state)),
            reraise=True,
        )
        return retrying(send)

    def _wait(self, state: RetryCallState) -> float:
        """Return the back-off, or Stripe's Retry-After if that is longer."""
        backoff = FIRST_WAIT_SECONDS * BASE ** (state.attempt_number - 1) * self.uniform(*JITTER)
        return max(backoff, _verdict(state).retry_after_seconds or 0.0)

    def _enough(self, state: RetryCallState, deadline: Deadline) -> bool:
        too_late = deadline.left() - state.upcoming_sleep < LEAST_SEND_SECONDS
        return too_late or state.attempt_number >= self.max_sends


def _after(failed: SendFailed, send: Callable[[], T]) -> Callable[[], T]:
    """Return a function that first raises the failure, then calls `send`."""
    failures = [failed]

    def next_send() -> T:
        if failures:
            raise failures.pop()
        return send()

    return next_send


def _again(failed: BaseException) -> bool:
    return isinstance(failed, SendFailed) and failed.verdict.again


def _verdict(state: RetryCallState) -> Verdict:
    failed = state.outcome.exception() if state.outcome else None
    assert isinstance(failed, SendFailed)
    return failed.verdict


def _details(state: RetryCallState) -> RetryDetails:
    return RetryDetails(state.attempt_number, state.upcoming_sleep, _verdict(state))
