"""One call to Stripe with all its sends: the SDK builds and parses, stripe_retry says what next.

The SDK's own retries are off, because it neither honours Retry-After nor sends a plain 429 or a
cut answer again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import stripe

from payment.deadline import Deadline
from payment.errors import (
    CardRefused,
    InFlight,
    Misconfigured,
    PaymentError,
    RateLimited,
    Refused,
    StripeFailed,
    StripeUnreachable,
)
from payment.intents import UnreadableIntent
from stripe_retry import (
    LEAST_SEND_SECONDS,
    Meaning,
    RetryDetails,
    RetryPolicy,
    SendFailed,
    Verdict,
    judge,
)

T = TypeVar("T")

# What goes wrong while the SDK parses an answer that is JSON but not Stripe's shape.
FAILURES = (
    stripe.StripeError,
    UnreadableIntent,
    AttributeError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
    RecursionError,
)

_SECRETS = re.compile(r"\b(?:sk|rk|pk|whsec)_\w+|\bpi_\w+_secret_\w+")


class Transport(Protocol):
    """What is asked of an HTTP client beyond the SDK's HTTPClient."""

    def limit(self, deadline: float) -> AbstractContextManager[None]:
        """End every send inside before this instant of time.monotonic, in this thread."""
        ...


@dataclass(slots=True)
class Call:
    """One operation; counts its sends, and knows whether one of them may have been acted upon."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    api_version: str | None = None
    sends: int = 0
    unresolved: int = 0
    may_send: Callable[[], bool] = lambda: True
    """Asked before each send: a wait before it may have lasted longer than it should."""

    def note(self, verdict: Verdict) -> None:
        """Count a failed send. A limited one never reached the idempotency layer."""
        self.unresolved += verdict.meaning is not Meaning.LIMITED

    @property
    def after_unresolved(self) -> bool:
        """Whether a send before the last one may have been acted upon."""
        return self.unresolved > 1


@dataclass(frozen=True, slots=True)
class Send:
    """One request to Stripe and what came of it. `verdict` is None where it brought an object."""

    method: str
    path: str
    number: int
    seconds: float
    request_id: str | None
    key: str | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is JSON. `headers` with names in lower case."""

    body: Any
    headers: Mapping[str, str]


class HeaderKeeper(stripe.HTTPClient):
    """Passes requests on, and keeps the headers of this thread's last answer.

    The SDK's error for an answer that it cannot parse has lost them, and with them whether that
    answer was a replay.
    """

    name = "requests"

    def __init__(self, inner: stripe.HTTPClient) -> None:
        super().__init__()
        self._inner = inner
        self._last = threading.local()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send once."""
        self._last.answer = (None, {})
        content, status, received = self._inner.request(method, url, headers, post_data)
        self._last.answer = (status, {name.lower(): text for name, text in received.items()})
        return content, status, received

    def last(self) -> tuple[int | None, Mapping[str, str]]:
        """Status and headers of this thread's last answer; (None, {}) if none came."""
        found: tuple[int | None, Mapping[str, str]] = getattr(self._last, "answer", (None, {}))
        return found

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()  # type: ignore[no-untyped-call]


class Sender:
    """Sends calls over one StripeClient; shared by all threads."""

    def __init__(
        self,
        api_key: str,
        transport: stripe.HTTPClient,
        *,
        api_base: str | None,
        api_version: str,
        stripe_account: str | None,
        policy: RetryPolicy,
        tell: Callable[[Send], None],
        tell_retry: Callable[[RetryDetails], None],
    ) -> None:
        self._transport: Transport = transport  # type: ignore[assignment]
        self._keeper = HeaderKeeper(transport)
        self._api_version = api_version
        self.client = stripe.StripeClient(
            api_key,
            stripe_version=api_version,
            stripe_account=stripe_account,
            base_addresses={"api": api_base} if api_base else None,
            max_network_retries=0,
            http_client=self._keeper,
        )
        self._policy, self._tell, self._tell_retry = policy, tell, tell_retry

    def send(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        """Send as often as the policy lets, and read the answer.

        `read` may raise any of FAILURES, which makes the answer an unreadable one. Raises
        SendFailed, whose cause is the last failure.
        """
        if deadline.left() < LEAST_SEND_SECONDS:
            raise SendFailed(judge(None, {}, None))
        return self._policy.run(
            lambda: self._send_once(call, deadline, read), deadline, self._tell_retry
        )

    def close(self) -> None:
        """Close the connections."""
        self._keeper.close()

    def _send_once(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        if deadline.left() <= 0 or not call.may_send():
            raise SendFailed(judge(None, {}, None))
        call.sends += 1
        started, verdict = time.monotonic(), None
        try:
            with self._transport.limit(started + deadline.left()):
                return read(self._raw(call))
        except FAILURES as failure:
            verdict = self._judge(failure)
            call.note(verdict)
            raise SendFailed(verdict) from failure
        finally:
            self._told(call, time.monotonic() - started, verdict)

    def _raw(self, call: Call) -> Answer:
        options = {"stripe_version": call.api_version or self._api_version}
        if call.key:
            options["idempotency_key"] = call.key
        answer = self.client.raw_request(call.method, call.path, **call.params, **options)
        return Answer(answer.data, self._keeper.last()[1])

    def _judge(self, failure: Exception) -> Verdict:
        status, headers = self._keeper.last()
        error = getattr(failure, "error", None)
        kind = None if error is None else str(getattr(error, "type", None) or "unknown")
        return judge(status, headers, kind)

    def _told(self, call: Call, seconds: float, verdict: Verdict | None) -> None:
        request_id = self._keeper.last()[1].get("request-id")
        self._tell(Send(call.method, call.path, call.sends, seconds, request_id, call.key, verdict))


def error_of(failed: SendFailed) -> PaymentError:
    """What a caller is told of a call that failed."""
    verdict, cause = failed.verdict, failed.__cause__
    request_id = getattr(cause, "request_id", None)
    match verdict.meaning:
        case Meaning.NO:
            return _refused(verdict, cause, request_id)
        case Meaning.CONFIG:
            message = "Stripe refused our credentials or our account."
            return Misconfigured(message, request_id=request_id)
        case Meaning.BUSY:
            message = "Stripe is still working on an earlier request for this order."
            return InFlight(message, request_id=request_id)
        case Meaning.LIMITED:
            return RateLimited(
                "Stripe's rate limit was reached.",
                request_id=request_id,
                retry_after_seconds=verdict.retry_after_seconds,
            )
        case Meaning.NO_ANSWER:
            return StripeUnreachable("Stripe did not answer.")
        case _:
            return StripeFailed(
                "Stripe failed, or its answer is unreadable.", request_id=request_id
            )


def _refused(verdict: Verdict, cause: BaseException | None, request_id: str | None) -> Refused:
    error = getattr(cause, "error", None)
    kind = CardRefused if verdict.status == 402 else Refused
    message = str(getattr(error, "message", None) or "Stripe refused the request.")
    words = (getattr(error, name, None) for name in ("code", "type"))
    code = next((word for word in words if word and isinstance(word, str)), None)
    return kind(_SECRETS.sub("****", message), code=code, request_id=request_id)
