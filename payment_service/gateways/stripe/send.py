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

# The last six come from parsing JSON that does not have Stripe's structure.
FAILURES = (
    HttpFailure,
    ErrorAnswer,
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
    ) -> None:
        self._api, self._policy = api, policy
        self._tell, self._tell_retry = tell, tell_retry

    def send(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        """Send, retry as the policy allows, and parse the answer with `read`.

        `read` may raise any of FAILURES; the answer then counts as unreadable. Raises SendFailed,
        whose cause is the last failure.
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
            return read(read_answer(response, call.key))
        except FAILURES as failure:
            failed, verdict = failure, _judged(response, failure)
            call.note(verdict)
            # Its traceback is never used, and would form a reference cycle with its frames.
            raise SendFailed(verdict) from failure.with_traceback(None)
        finally:
            self._told(call, time.monotonic() - started, response, verdict, failed)
            del failed

    def _told(
        self,
        call: Call,
        seconds: float,
        response: Response | None,
        verdict: Verdict | None,
        failed: Exception | None,
    ) -> None:
        request_id = plain_id(response.headers.get("request-id")) if response else None
        phase = failed.phase if isinstance(failed, HttpFailure) else None
        cause = _cause(verdict, failed) if verdict and failed else None
        self._tell(
            Send(
                call.method,
                call.path,
                call.sends,
                seconds,
                request_id,
                call.key,
                verdict,
                phase,
                cause,
            )
        )


def _judged(response: Response | None, failure: Exception) -> Verdict:
    if response is None:
        return judge(None, {}, None)
    error = failure.error if isinstance(failure, ErrorAnswer) else None
    kind = None if error is None else str(error.get("type") or "unknown")
    return judge(response.status, response.headers, kind)


def _cause(verdict: Verdict, failure: Exception) -> str | None:
    """Return the reason for an operator: libcurl's or Stripe's sentence, or an exception.

    Stripe's rejection of a request is for the caller, and may quote what a shopper entered.
    """
    if verdict.meaning is Meaning.NO:
        return None
    if isinstance(failure, ErrorAnswer):
        sentence = failure.error and failure.error.get("message")
        return without_secrets(sentence) if isinstance(sentence, str) else None
    text = (
        str(failure) if isinstance(failure, HttpFailure) else f"{type(failure).__name__}: {failure}"
    )
    return without_secrets(text)
