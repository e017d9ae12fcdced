"""The contract of a gated gateway, implemented with PayPal's Orders v2 and Payments v2."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, PaymentError, Refused
from payment_service.gateways.calls import Answer, Http
from payment_service.gateways.capture_outcome import CaptureOutcome, CaptureUnclear
from payment_service.gateways.contract import NamedPayment, NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.intent import REQUIRES_ACTION, Intent
from payment_service.gateways.outcome import (
    Declined,
    Failed,
    GatedOutcome,
    Made,
    PaidBefore,
    Unclear,
)
from payment_service.gateways.payment_fields import PaymentFields
from payment_service.gateways.paypal import captures, issues, refunds
from payment_service.gateways.paypal.api_calls import LIVE_BASE, SANDBOX_BASE, PayPalApi, PayPalCall
from payment_service.gateways.paypal.errors import error_of, problem_of
from payment_service.gateways.paypal.facts import API_VERSION, PAYPAL
from payment_service.gateways.paypal.money import PayPalMoney
from payment_service.gateways.paypal.orders import (
    Expected,
    UnreadableOrder,
    read_id,
    read_link,
    read_named,
    read_order,
)
from payment_service.gateways.paypal.params import Pages, body, order_params
from payment_service.gateways.paypal.paths import CAPTURE, ORDER, ORDERS, path_of
from payment_service.gateways.paypal.tokens import NoToken, Tokens
from payment_service.gateways.retry import RetryPolicy, SendFailed
from payment_service.gateways.send import Sender
from payment_service.gateways.send_report import RetryDetails, Send
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from payment_service.schema.secret import Secret

# PayPal-Request-Id: 1 to 108 characters.
_KEY = re.compile("[ -~]{1,108}")

# The largest difference between our clock and the one that measures the age of a request id.
CLOCK_SKEW_SECONDS = 30.0

T = TypeVar("T")


class _Minimal(Struct, frozen=True):
    """A creation's answer without the order's name and amount, which a read has to add."""

    order_id: str
    link: str | None
    replayed: bool


class PayPalGateway:
    """A GatedGateway over one PayPal REST app; shared by all threads."""

    api_version: str = API_VERSION

    def __init__(
        self,
        client_id: str,
        client_secret: Secret,
        http: Http,
        pages: Pages,
        *,
        livemode: bool,
        api_base: str | None = None,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.time,
        report: Callable[[Send], None] = lambda _: None,
        report_retry: Callable[[RetryDetails], None] = lambda _: None,
    ) -> None:
        """`livemode`: the mode of the service's orders. PayPal's answers do not show theirs."""
        base = api_base or (LIVE_BASE if livemode else SANDBOX_BASE)
        api = PayPalApi(http, client_id, client_secret, base.rstrip("/"))
        self._policy, self._clock, self._livemode = policy or RetryPolicy(), clock, livemode
        self._pages, self._report_retry = pages, report_retry
        self._sender = Sender(api, self._policy, report, report_retry)
        self._once = Sender(api, replace(self._policy, max_sends=1), report, report_retry)
        self._tokens = Tokens(self._sender, clock)

    @property
    def facts(self) -> GatewayFacts:
        """The guarantees that PayPal gives."""
        return PAYPAL

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def params_of(self, payment: PaymentFields) -> SentParams:
        """Return the parameters of a creation; see GatedGateway."""
        return order_params(payment, self._pages, livemode=self._livemode)

    def create(self, sent: SentParams, key: str, deadline: Deadline) -> GatedOutcome:
        """Create an order under a request id; see GatedGateway."""
        call = self._keyed(ORDERS, body(sent.params), key, deadline)
        expected = Expected(sent.params, self._livemode)
        try:
            made = self._send(self._sender, call, deadline, lambda got: _read_made(got, expected))
            return self._completed(made, sent, deadline) if isinstance(made, _Minimal) else made
        except NoToken as none:
            return Unclear(error_of(none.failed), saved_5xx=False)
        except SendFailed as failed:
            return _outcome(failed, call)
        except PaymentError as error:
            return Unclear(error, saved_5xx=False)
        except NoSuchIntent:
            unknown = _unreadable("PayPal does not know the order that it made.")
            return Unclear(unknown, saved_5xx=False)

    def retrieve(self, intent_id: str, sent: SentParams, deadline: Deadline) -> Intent:
        """Return the current order; see GatedGateway."""
        return self._read(self._sender, intent_id, sent, deadline)

    def find_named(self, intent_id: str, order: Order, deadline: Deadline) -> NamedPayment | None:
        """Return the order if it names ours; see GatedGateway."""
        try:
            return self._get(
                self._sender,
                intent_id,
                deadline,
                lambda answer: read_named(answer.body, intent_id, order),
            )
        except NoSuchIntent:
            return None

    def _read(self, sender: Sender, intent_id: str, sent: SentParams, deadline: Deadline) -> Intent:
        expected = Expected(sent.params, self._livemode, intent_id)
        return self._get(
            sender, intent_id, deadline, lambda answer: read_order(answer.body, expected)
        )

    def _get(
        self, sender: Sender, intent_id: str, deadline: Deadline, read: Callable[[Answer], T]
    ) -> T:
        call = PayPalCall("get", path_of(ORDER, intent_id))
        try:
            return self._send(sender, call, deadline, read)
        except NoToken as none:
            raise error_of(none.failed) from none
        except SendFailed as failed:
            problem = problem_of(failed)
            if failed.verdict.status == 404 and problem and problem.name == "RESOURCE_NOT_FOUND":
                raise NoSuchIntent(call.path) from failed
            raise error_of(failed) from failed

    def capture(
        self, intent_id: str, sent: SentParams, key: str, deadline: Deadline
    ) -> CaptureOutcome:
        """Capture an approved order; see GatedGateway."""
        call = self._keyed(path_of(CAPTURE, intent_id), {}, key, deadline)
        try:
            return self._policy.run(
                lambda: self._capture_once(call, intent_id, sent, deadline),
                deadline,
                self._report_retry,
            )
        except NoToken as none:
            return CaptureUnclear(error_of(none.failed), nothing_sent=call.sends == 0)
        except SendFailed as failed:
            unresolved = call.after_unresolved
            return captures.outcome_of_failure(failed, intent_id, after_unresolved=unresolved)

    def money(self, sent: SentParams) -> PayPalMoney:
        """Return the money of an order; see GatedGateway."""
        return PayPalMoney(sent, self._livemode, partial(self._get, self._sender), self._refund)

    def _refund(
        self,
        path: str,
        params: Mapping[str, Any],
        key: str,
        deadline: Deadline,
        read: Callable[[Answer], T],
    ) -> T | Failed:
        call = self._keyed(path, params, key, deadline)
        try:
            return self._send(self._sender, call, deadline, read)
        except NoToken as none:
            return Unclear(error_of(none.failed), saved_5xx=False)
        except SendFailed as failed:
            return refunds.outcome_of_failure(failed, call)

    def _capture_once(
        self, call: PayPalCall, intent_id: str, sent: SentParams, deadline: Deadline
    ) -> CaptureOutcome:
        """Send once. After a failure, the order itself tells whether it was captured.

        An earlier send may have captured it, also one of another process. PayPal may then reject
        this one in any way: as captured already, or because of the invoice id of that very capture.
        So a duplicate invoice is unclear unless the order shows that it has no capture.
        """
        expected = Expected(sent.params, self._livemode, intent_id)
        try:
            intent, replayed = self._send(
                self._once, call, deadline, lambda answer: _read_captured(answer, expected)
            )
            return captures.outcome_of(intent, replayed=replayed)
        except SendFailed as failed:
            seen = self._look(intent_id, sent, deadline)
            if seen is not None and captures.is_end(seen):
                return captures.outcome_of(seen, replayed=True)
            if seen is None and captures.is_duplicate(failed):
                return CaptureUnclear(error_of(failed))
            raise

    def _look(self, intent_id: str, sent: SentParams, deadline: Deadline) -> Intent | None:
        """Return the order, or None if PayPal does not show it: our capture may be under way.

        One send, because the retry loop around it repeats both.
        """
        try:
            return self._read(self._once, intent_id, sent, deadline)
        except (PaymentError, NoSuchIntent):
            return None

    def _completed(self, made: _Minimal, sent: SentParams, deadline: Deadline) -> Made:
        """Read an order whose creation was answered with its id and links only."""
        found = self.retrieve(made.order_id, sent, deadline)
        if found.status == REQUIRES_ACTION and found.redirect_url is None:
            if made.link is None:
                raise _unreadable("PayPal made an order without a link for the shopper.")
            found = replace(found, redirect_url=made.link)
        return Made(found, made.replayed)

    def _keyed(
        self, path: str, params: Mapping[str, Any], key: str, deadline: Deadline
    ) -> PayPalCall:
        """Return a call under a request id. Raises ValueError for an invalid one."""
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError("a request key is 1 to 108 printable ASCII characters")
        call = PayPalCall("post", path, params, key)
        # If the machine was suspended during the call, the request id is older than we think.
        latest = self._clock() + deadline.left() + CLOCK_SKEW_SECONDS
        call.may_send = lambda: self._clock() <= latest
        return call

    def _send(
        self, sender: Sender, call: PayPalCall, deadline: Deadline, read: Callable[[Answer], T]
    ) -> T:
        """Send with a token, and once more with a new one if PayPal rejects it.

        Raises NoToken before anything is sent, and SendFailed.
        """
        call.token = self._tokens.get(deadline)
        try:
            return sender.send(call, deadline, read)
        except SendFailed as failed:
            if failed.verdict.status != 401:
                raise
            call.token = self._tokens.renew(call.token, deadline)
            return self._once.send(call, deadline, read)


def _outcome(failed: SendFailed, call: PayPalCall) -> GatedOutcome:
    error, problem = error_of(failed), problem_of(failed)
    if not isinstance(error, Refused):
        return Unclear(error, saved_5xx=False, answered_500=failed.verdict.status == 500)
    if problem and problem.issue == issues.DUPLICATE_INVOICE:
        return PaidBefore(error)
    return Declined(error, replayed=False, after_unresolved=call.after_unresolved)


def _read_made(answer: Answer, expected: Expected) -> Made | _Minimal:
    replayed = answer.status == 200
    order_id = read_id(answer.body, expected)
    if "purchase_units" not in answer.body:
        return _Minimal(order_id, read_link(answer.body, order_id), replayed)
    intent = read_order(answer.body, expected)
    if intent.status == REQUIRES_ACTION and intent.redirect_url is None:
        raise UnreadableOrder("an order without a link for the shopper")
    return Made(intent, replayed)


def _read_captured(answer: Answer, expected: Expected) -> tuple[Intent, bool]:
    intent = read_order(answer.body, expected)
    if not captures.is_end(intent):
        raise UnreadableOrder("a capture without a captured payment")
    return intent, answer.status == 200


def _unreadable(message: str) -> GatewayFailed:
    return GatewayFailed(message, code="paypal_error")
