"""One call to Stripe with all its sends: the SDK builds and parses, gateways.stripe.retry says what
next.

The SDK's own retries are off, because it neither honours Retry-After nor sends a plain 429 or a
cut answer again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import stripe

from payment_service.errors import (
    CardRefused,
    InFlight,
    Misconfigured,
    PaymentError,
    RateLimited,
    Refused,
    StripeFailed,
    StripeUnreachable,
)
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import UnreadableIntent
from payment_service.gateways.stripe.api_calls import Answer, Call, HeaderKeeper, Sdk
from payment_service.gateways.stripe.retry import (
    LEAST_SEND_SECONDS,
    Meaning,
    RetryDetails,
    RetryPolicy,
    SendFailed,
    Verdict,
    judge,
)
from payment_service.schema.secret import shortened

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

# The SDK would read or make a file in the home directory. A process whose user has no HOME and no
# entry in passwd fails at that, at its first request, after the claim was stored. A payment service
# writes no file that it did not announce.
stripe.enable_telemetry = False

_SECRETS = re.compile(r"\b(?:sk|rk|pk|whsec)_\w+|\bpi_\w+_secret_\w+")

# Stripe's messages have one or two sentences.
MAX_MESSAGE_CHARACTERS = 1_000

# A word for a program, as every code of Stripe's is.
_CODE = re.compile("[A-Za-z0-9_.-]{1,100}")
_REQUEST_ID = re.compile("[A-Za-z0-9_.-]{1,100}")


class Transport(Protocol):
    """What is asked of an HTTP client beyond the SDK's HTTPClient."""

    def limit(self, deadline: float) -> AbstractContextManager[None]:
        """End every send inside before this instant of time.monotonic, in this thread."""
        ...


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
        self.client = stripe.StripeClient(
            api_key,
            stripe_version=api_version,
            stripe_account=stripe_account,
            base_addresses={"api": api_base} if api_base else None,
            max_network_retries=0,
            http_client=self._keeper,
        )
        self._policy, self._tell, self._tell_retry = policy, tell, tell_retry
        self._sdk = Sdk(self.client, self._keeper, api_version)

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
                return read(self._sdk.ask(call))
        except FAILURES as failure:
            verdict = self._judge(failure)
            call.note(verdict)
            # Nobody reads its traceback, which refers to the frames that refer to it.
            raise SendFailed(verdict) from failure.with_traceback(None)
        finally:
            self._told(call, time.monotonic() - started, verdict)

    def _judge(self, failure: Exception) -> Verdict:
        status, headers = self._keeper.last()
        error = getattr(failure, "error", None)
        kind = None if error is None else str(getattr(error, "type", None) or "unknown")
        return judge(status, headers, kind)

    def _told(self, call: Call, seconds: float, verdict: Verdict | None) -> None:
        request_id = _plain(_REQUEST_ID, self._keeper.last()[1].get("request-id"))
        self._tell(Send(call.method, call.path, call.sends, seconds, request_id, call.key, verdict))


def error_of(failed: SendFailed) -> PaymentError:
    """What a caller is told of a call that failed."""
    verdict, cause = failed.verdict, failed.__cause__
    request_id = _plain(_REQUEST_ID, getattr(cause, "request_id", None))
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
    code = next((word for word in map(partial(_plain, _CODE), words) if word), None)
    return kind(without_secrets(message), code=code, request_id=request_id)


def without_secrets(message: str) -> str:
    """Return the beginning of a message of Stripe's, without keys and client_secrets."""
    return _SECRETS.sub("****", shortened(message, MAX_MESSAGE_CHARACTERS))


def _plain(form: re.Pattern[str], text: object) -> str | None:
    """Return the text if it has this form: Stripe's answer, or a proxy's, may hold anything."""
    return text if isinstance(text, str) and form.fullmatch(text) else None
