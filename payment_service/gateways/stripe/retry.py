"""Which of Stripe's answers are final, which leave the outcome unknown, and which are sent again.

| answer                              | meaning  | sent again | under the key           |
|-------------------------------------|----------|------------|-------------------------|
| 200 with a PaymentIntent            | answer   |            | saved                   |
| 200 with anything else              | unknown  | yes        | perhaps saved           |
| none: refused, lost, cut, timed out | unknown  | yes        | perhaps saved           |
| 400 idempotency_error               | misused  | no         | saved: something else   |
| 400, 402, 404                       | no       | no         | saved, but validation   |
| 401, 403                            | config   | no         | not saved               |
| 408, 421, 425 of Stripe's edge      | unknown  | yes        | not saved: not executed |
| 409 idempotency_key_in_use          | busy     | yes        | not yet saved           |
| 429, lock_timeout                   | limited  | yes        | not saved               |
| 5xx                                 | failed   | yes        | 500 saved, 503 not      |
| 5xx that is a replay                | failed   | no         | saved: for ever         |
| any other that is a replay          | unknown  | no         | saved: for ever         |
| anything else                       | unknown  | no         | not known               |

To send the same bytes again under the same key is always safe; it is worth its time only where the
next answer can be another one. A server in front of Stripe's API answers 408 to a request that did
not arrive in time, 421 to one on the wrong connection, 425 to one in TLS early data: none of them
looked at the request. Every other 4xx (405, 410, 411, 413, 414, 415, 424, 431, ...) and every 3xx
judges the request itself, and would judge it the same again.

`Stripe-Should-Retry: true` or `false` overrides the third column, `Retry-After` the wait.
Sources: docs.stripe.com/error-low-level, /api/idempotent_requests, /rate-limits.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from payment_service.gateways.deadline import Deadline

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

# The longest wait that is believed: a rate is free again within seconds, an outage over in a day.
MOST_RETRY_AFTER_SECONDS = 86_400.0

T = TypeVar("T")


class Meaning(Enum):
    """What an answer says of the object that was asked for."""

    NO = auto()
    MISUSED = auto()
    CONFIG = auto()
    BUSY = auto()
    LIMITED = auto()
    FAILED = auto()
    UNREADABLE = auto()
    NO_ANSWER = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One failed send, understood. `status` is None where no answer came.

    `original_request`: the id of the request whose answer Stripe saved under the key, which is
    `request_id` itself where this send was the first (docs.stripe.com/api/request_ids).
    """

    meaning: Meaning
    again: bool
    status: int | None = None
    replayed: bool = False
    retry_after_seconds: float | None = None
    request_id: str | None = None
    original_request: str | None = None

    @property
    def saved_5xx(self) -> bool:
        """Whether the key will answer with this 5xx for ever.

        A 503 that is not to be sent again is not saved: a key that was passed over for it would
        be unused, and were the record lost, it would make a second PaymentIntent.
        """
        saved = self.replayed or self.status == 500
        return self.meaning is Meaning.FAILED and not self.again and saved


class SendFailed(Exception):
    """A send that did not bring what was asked for; the cause is the SDK's error."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.meaning.name)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class RetryDetails:
    """What is told of each send that is followed by another."""

    send: int
    wait_seconds: float
    verdict: Verdict


def judge(status: int | None, headers: Mapping[str, str], kind: str | None) -> Verdict:
    """Understand a send that brought no object: the table above.

    `headers` with names in lower case; `kind` is the error's `type` in the body, or None where
    the body could not be read.
    """
    replayed = headers.get("idempotent-replayed") == "true"
    meaning, again = _row(status, kind, replayed=replayed)
    asked = headers.get("stripe-should-retry")
    if asked in ("true", "false") and not (replayed and meaning is Meaning.FAILED):
        again = asked == "true"
    wait = _seconds(headers.get("retry-after"))
    ids = headers.get("request-id"), headers.get("original-request")
    return Verdict(meaning, again, status, replayed, wait, *ids)


def _row(status: int | None, kind: str | None, *, replayed: bool) -> tuple[Meaning, bool]:
    match status:
        case None:
            return Meaning.NO_ANSWER, True
        case 400 if kind == "idempotency_error":
            return Meaning.MISUSED, False
        case 400 | 402 | 404 if kind is not None:
            return Meaning.NO, False
        case 401 | 403:
            return Meaning.CONFIG, False
        case 408 | 421 | 425:
            return Meaning.UNREADABLE, not replayed
        case 409:
            return Meaning.BUSY, True
        case 429:
            return Meaning.LIMITED, True
        case status if status >= 500:
            return Meaning.FAILED, not replayed
        case status if 200 <= status < 300:
            return Meaning.UNREADABLE, True
        case _:
            return Meaning.UNREADABLE, False


def _seconds(text: str | None) -> float | None:
    """Read Retry-After (RFC 9110): seconds, or a date."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    return min(max(0.0, seconds), MOST_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _seconds_until(text: str) -> float:
    """Return NaN for what is no date; a number in it may be too large for one."""
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan


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
