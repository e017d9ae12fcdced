"""One call to Stripe with all its sends.

The SDK builds requests and parses answers; gateways.stripe.retry decides on retries. The SDK's own
retries are off, because it does not honour Retry-After and does not retry a plain 429 or a
truncated answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import stripe

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.sends import RetryDetails, Send, Verdict
from payment_service.gateways.stripe.api_calls import Answer, Call, HeaderKeeper, Sdk
from payment_service.gateways.stripe.errors import plain_id
from payment_service.gateways.stripe.intents import UnreadableIntent
from payment_service.gateways.stripe.retry import LEAST_SEND_SECONDS, RetryPolicy, SendFailed
from payment_service.gateways.stripe.verdicts import judge

T = TypeVar("T")

# Exceptions from parsing JSON that does not have Stripe's structure, besides the SDK's own.
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

# With telemetry the SDK reads or creates a file in the home directory. If the user of the process
# has no HOME and no passwd entry, that fails at the first request, after the order's record was
# stored. A payment service must not write undocumented files.
stripe.enable_telemetry = False


class Transport(Protocol):
    """The HTTP client's interface beyond the SDK's HTTPClient."""

    def limit(self, deadline: float) -> AbstractContextManager[None]:
        """End every send of this thread inside the block before this time.monotonic instant."""
        ...


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
            # Its traceback is never used, and would form a reference cycle with its frames.
            raise SendFailed(verdict) from failure.with_traceback(None)
        finally:
            self._told(call, time.monotonic() - started, verdict)

    def _judge(self, failure: Exception) -> Verdict:
        status, headers = self._keeper.last()
        error = getattr(failure, "error", None)
        kind = None if error is None else str(getattr(error, "type", None) or "unknown")
        return judge(status, headers, kind)

    def _told(self, call: Call, seconds: float, verdict: Verdict | None) -> None:
        request_id = plain_id(self._keeper.last()[1].get("request-id"))
        self._tell(Send(call.method, call.path, call.sends, seconds, request_id, call.key, verdict))
