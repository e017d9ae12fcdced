"""One call to a gateway with all its sends; gateways.retry decides on retries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from payment_service.gateways.calls import Answer, Call, ErrorStatus
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import LEAST_SEND_SECONDS, RetryPolicy, SendFailed
from payment_service.gateways.send_report import Meaning, RetryDetails, Send, Verdict
from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure

T = TypeVar("T")

# Exceptions from parsing JSON that does not have the gateway's structure.
UNREADABLE = (AttributeError, LookupError, OverflowError, TypeError, ValueError, RecursionError)


class Api(Protocol):
    """One account's HTTP API: its requests, and the meaning of its answers."""

    def send(self, call: Call, ends_at: float) -> Response:
        """Send a call once by `ends_at` (time.monotonic). Raises HttpFailure."""
        ...

    def read(self, response: Response, call: Call) -> Answer:
        """Parse an answer. Raises ErrorStatus for an error status, or any of UNREADABLE."""
        ...

    def judge(self, response: Response | None, failure: Exception | None) -> Verdict:
        """Classify a failed send; without a response, no answer arrived."""
        ...

    def request_id(self, response: Response) -> str | None:
        """Return the gateway's id of the request."""
        ...

    def sentence(self, failure: Exception) -> str | None:
        """Return the reason of a failure for an operator, without secrets."""
        ...

    def close(self) -> None:
        """Close the connections that are not in use."""
        ...


class Sender:
    """Sends one account's calls; shared by all threads."""

    def __init__(
        self,
        api: Api,
        policy: RetryPolicy,
        report: Callable[[Send], None],
        report_retry: Callable[[RetryDetails], None],
        note: Callable[[Response], None] = lambda _: None,
    ) -> None:
        """`note` is called with every answer."""
        self._api, self._policy = api, policy
        self._report, self._report_retry, self._note = report, report_retry, note

    def send(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        """Send, retry as the policy allows, and parse the answer with `read`.

        `read` may raise any of UNREADABLE. Raises SendFailed, whose cause is the last failure.
        """
        if deadline.left() < LEAST_SEND_SECONDS:
            raise SendFailed(self._api.judge(None, None))
        return self._policy.run(
            lambda: self._send_once(call, deadline, read), deadline, self._report_retry
        )

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _send_once(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        left = deadline.left()
        if left <= 0 or not call.may_send():
            raise SendFailed(self._api.judge(None, None))
        call.sends += 1
        started = time.monotonic()
        response = verdict = failed = None
        try:
            response = self._api.send(call, started + left)
            self._note(response)
            return self._read(response, call, read)
        except (HttpFailure, ErrorStatus, UnreadableAnswer) as failure:
            failed, verdict = failure, self._api.judge(response, failure)
            call.note(verdict)
            # Its traceback is never used, and would form a reference cycle with its frames.
            raise SendFailed(verdict) from failure.with_traceback(None)
        finally:
            seconds = time.monotonic() - started
            request_id = self._api.request_id(response) if response else None
            phase, cause = self._why(verdict, failed)
            sent = (call.method, call.path, call.sends, seconds, request_id, call.key)
            status = response.status if response else None
            self._report(Send(*sent, verdict, phase, cause, status))
            del failed

    def _read(self, response: Response, call: Call, read: Callable[[Answer], T]) -> T:
        try:
            return read(self._api.read(response, call))
        except UNREADABLE as wrong:
            raise UnreadableAnswer(f"{type(wrong).__name__}: {wrong}") from None

    def _why(
        self, verdict: Verdict | None, failure: Exception | None
    ) -> tuple[str | None, str | None]:
        """Return the phase and the cause of a failure: libcurl's or the gateway's sentence.

        A gateway's rejection of a request is for the caller, and may quote what a shopper entered.
        """
        if verdict is None or failure is None or verdict.meaning is Meaning.NO:
            return None, None
        phase = failure.phase if isinstance(failure, HttpFailure) else None
        return phase, self._api.sentence(failure)


class UnreadableAnswer(Exception):
    """An answer with a successful status, but without the object that the call requests."""
