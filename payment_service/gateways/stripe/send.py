"""One call to Stripe with all its sends; gateways.stripe.retry decides on retries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.sends import Meaning, RetryDetails, Send, Verdict
from payment_service.gateways.stripe.api_calls import (
    Answer,
    Call,
    ErrorAnswer,
    StripeApi,
    read_answer,
)
from payment_service.gateways.stripe.errors import plain_id, without_secrets
from payment_service.gateways.stripe.intents import UnreadableIntent
from payment_service.gateways.stripe.retry import LEAST_SEND_SECONDS, RetryPolicy, SendFailed
from payment_service.gateways.stripe.verdicts import judge
from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure

T = TypeVar("T")

# Exceptions from parsing JSON that does not have Stripe's structure.
UNREADABLE = (
    UnreadableIntent,
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
    RecursionError,
)


class Sender:
    """Sends one account's calls; shared by all threads."""

    def __init__(
        self,
        api: StripeApi,
        policy: RetryPolicy,
        tell: Callable[[Send], None],
        tell_retry: Callable[[RetryDetails], None],
        note: Callable[[Response], None] = lambda _: None,
    ) -> None:
        """`note` is called with every answer."""
        self._api, self._policy = api, policy
        self._tell, self._tell_retry, self._note = tell, tell_retry, note

    def send(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        """Send, retry as the policy allows, and parse the answer with `read`.

        `read` may raise any of UNREADABLE. Raises SendFailed, whose cause is the last failure.
        """
        if deadline.left() < LEAST_SEND_SECONDS:
            raise SendFailed(judge(None, {}, None))
        return self._policy.run(
            lambda: self._send_once(call, deadline, read), deadline, self._tell_retry
        )

    def close(self) -> None:
        """Close the connections."""
        self._api.http.close()

    def _send_once(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        left = deadline.left()
        if left <= 0 or not call.may_send():
            raise SendFailed(judge(None, {}, None))
        call.sends += 1
        started = time.monotonic()
        response = verdict = failed = None
        try:
            response = self._api.send(call, started + left)
            self._note(response)
            return _read(response, call, read)
        except (HttpFailure, ErrorAnswer, UnreadableAnswer) as failure:
            failed, verdict = failure, _judged(response, failure)
            call.note(verdict)
            # Its traceback is never used, and would form a reference cycle with its frames.
            raise SendFailed(verdict) from failure.with_traceback(None)
        finally:
            seconds = time.monotonic() - started
            request_id = plain_id(response.headers.get("request-id")) if response else None
            phase, cause = _why(verdict, failed)
            sent = (call.method, call.path, call.sends, seconds, request_id, call.key)
            self._tell(Send(*sent, verdict, phase, cause))
            del failed


class UnreadableAnswer(Exception):
    """An answer with a successful status, but without the object that the call requests."""


def _read(response: Response, call: Call, read: Callable[[Answer], T]) -> T:
    try:
        return read(read_answer(response, call.key))
    except UNREADABLE as wrong:
        raise UnreadableAnswer(f"{type(wrong).__name__}: {wrong}") from None


def _judged(response: Response | None, failure: Exception) -> Verdict:
    if response is None:
        return judge(None, {}, None)
    error = failure.error if isinstance(failure, ErrorAnswer) else None
    kind = None if error is None else str(error.get("type") or "unknown")
    return judge(response.status, response.headers, kind)


def _why(verdict: Verdict | None, failure: Exception | None) -> tuple[str | None, str | None]:
    """Return the phase and the cause of a failure for an operator: libcurl's or Stripe's sentence.

    Stripe's rejection of a request is for the caller, and may quote what a shopper entered.
    """
    if verdict is None or failure is None or verdict.meaning is Meaning.NO:
        return None, None
    if isinstance(failure, HttpFailure):
        return failure.phase, without_secrets(str(failure))
    if isinstance(failure, ErrorAnswer):
        sentence = failure.error and failure.error.get("message")
        return None, without_secrets(sentence) if isinstance(sentence, str) else None
    return None, without_secrets(str(failure))
