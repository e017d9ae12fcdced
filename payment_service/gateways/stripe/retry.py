"""The retry loop around a send to Stripe: how often, and after which wait.

Whether a failure is worth another send is decided in gateways.stripe.verdicts.
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

# The first wait is about a second: long enough for a connection to come back or a lock to be
# let go, short enough for a shopper. Each further one is twice as long.
FIRST_WAIT_SECONDS, BASE = 1.0, 2.0

# The wait is drawn from this part of itself, so that those who failed together do not come back
# together.
JITTER = (0.75, 1.25)

# A send that has less time than this is not worth its risk of a cut answer.
LEAST_SEND_SECONDS = 0.3


T = TypeVar("T")


class SendFailed(Exception):
    """A send that did not bring what was asked for; the cause is the SDK's error."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.meaning.name)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after which wait, a send is repeated: the one retry loop of the service."""

    max_sends: int = 3
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform

    def run(
        self,
        send: Callable[[], T],
        deadline: Deadline,
        tell: Callable[[RetryDetails], None] = lambda _: None,
    ) -> T:
        """Call `send` until it brings something, and return that.

        Raises the last SendFailed once it is not to be sent again, the sends are used up, or
        the deadline would not hold the wait and another send.
        """
        try:
            return send()
        except SendFailed as failed:
            if not failed.verdict.again or self.max_sends == 1:
                raise
            # The loop begins with this failure: nearly every send needs no loop, which costs as
            # much as reading the answer.
            return self._go_on(_after(failed, send), deadline, tell)

    def _go_on(
        self, send: Callable[[], T], deadline: Deadline, tell: Callable[[RetryDetails], None]
    ) -> T:
        # With the first failure: it takes as long to load as the rest of what talks to Stripe.
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
        """The backoff, or what Stripe asked for where that is longer."""
        backoff = FIRST_WAIT_SECONDS * BASE ** (state.attempt_number - 1) * self.uniform(*JITTER)
        return max(backoff, _verdict(state).retry_after_seconds or 0.0)

    def _enough(self, state: RetryCallState, deadline: Deadline) -> bool:
        too_late = deadline.left() - state.upcoming_sleep < LEAST_SEND_SECONDS
        return too_late or state.attempt_number >= self.max_sends


def _after(failed: SendFailed, send: Callable[[], T]) -> Callable[[], T]:
    """Return `send` with that failure before it."""
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
