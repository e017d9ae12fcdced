"""The gateway contract, implemented with Stripe's HTTP API."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from payment_service.errors import BadRequest, GatewayFailed, PaymentError, Refused
from payment_service.gateways.calls import Answer, Call, Http
from payment_service.gateways.charge import Charge
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.dispute import Dispute
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.intent import Intent, names_order
from payment_service.gateways.outcome import (
    Declined,
    Failed,
    KeyMisused,
    Made,
    Outcome,
    RefundOutcome,
    Unclear,
)
from payment_service.gateways.payment_fields import PaymentFields
from payment_service.gateways.refund import Refund
from payment_service.gateways.retry import RetryPolicy, SendFailed
from payment_service.gateways.send import Sender
from payment_service.gateways.send_report import Meaning, RetryDetails, Send
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.api_calls import API_BASE, StripeApi
from payment_service.gateways.stripe.capture_and_refund import CaptureAndRefund
from payment_service.gateways.stripe.create_params import create_params, update_params
from payment_service.gateways.stripe.errors import error_of, is_missing
from payment_service.gateways.stripe.facts import API_VERSION, RELEASED_SINCE, STRIPE
from payment_service.gateways.stripe.intents import read_intent, same_intent, same_order, shows
from payment_service.gateways.stripe.keyed_calls import (
    CLOCK_SKEW_SECONDS,
    KeyedCalls,
    is_replay,
)
from payment_service.gateways.stripe.lists import Pages, Stretch, Wanted
from payment_service.gateways.stripe.paths import CANCEL, INTENT, INTENTS, path_of
from payment_service.gateways.stripe.request_rules import check_amount, check_creation
from payment_service.gateways.stripe.send import StripeSends
from payment_service.gateways.stripe.stripe_clock import StripeClock
from payment_service.key_store.contract import Order

# During an outage the search lags by up to an hour (docs.stripe.com/search). We look for younger
# PaymentIntents in the list, which is read-after-write.
LIST_REACH_SECONDS = 3600.0

# Stripe creates a PaymentIntent within this time after the end of the send. A later one is so rare
# that the search, the look-ups after an abandoned attempt and the reconciler suffice: no shopper
# has its client_secret.
LATE_SECONDS = 300.0

# Time for a search that only supplements the list.
EXTRA_SEARCH_SECONDS = 3.0

T = TypeVar("T")


class StripeGateway:
    """A Gateway over one Stripe account; shared by all threads."""

    def __init__(
        self,
        api_key: str,
        http: Http,
        *,
        api_base: str | None = None,
        api_version: str | None = None,
        stripe_account: str | None = None,
        policy: RetryPolicy | None = None,
        clock: Callable[[], float] = time.time,
        report: Callable[[Send], None] = lambda _: None,
        report_retry: Callable[[RetryDetails], None] = lambda _: None,
    ) -> None:
        self.api_version: str = api_version or API_VERSION
        self._keyed = KeyedCalls(clock)
        self._money = CaptureAndRefund(self._ask, self._try, self._keyed)
        self._clock = clock
        self._pages = Pages(self._ask)
        self.api = StripeApi(http, api_key, self.api_version, api_base or API_BASE, stripe_account)
        self._stripe_clock = StripeClock(clock)
        self._sender = Sender(
            StripeSends(self.api),
            policy or RetryPolicy(),
            report,
            report_retry,
            self._stripe_clock.note,
        )

    @property
    def facts(self) -> GatewayFacts:
        """The guarantees that Stripe gives."""
        return STRIPE

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def params_of(self, payment: PaymentFields) -> SentParams:
        """Return the parameters of a creation; see Gateway."""
        check_creation(payment)
        return self._sent(create_params(payment, self.api_version))

    def params_of_update(self, payment: PaymentFields, currency: str | None) -> SentParams:
        """Return the parameters of an update; see Gateway."""
        check_amount(payment.amount, str(currency))
        return self._sent(update_params(payment, currency, self.api_version))

    def check_amount(self, amount: int, currency: str, field: str = "amount") -> None:
        """Raise BadRequest for an amount that the currency cannot have; see Gateway."""
        check_amount(amount, currency, field)

    def create(self, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Create a PaymentIntent; see Gateway. Raises ValueError for an invalid key."""
        call = self._keyed.call(INTENTS, sent.params, key, sent.api_version, deadline)
        return self._try(call, deadline, lambda answer: _read_made(answer, sent))

    def update(self, intent_id: str, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Update a PaymentIntent; see Gateway."""
        read = _reader_of(intent_id)
        call = Call("post", path_of(INTENT, intent_id), sent.params, key, sent.api_version)
        return self._try(call, deadline, lambda answer: Made(read(answer), is_replay(answer)))

    def retrieve(self, intent_id: str, deadline: Deadline) -> Intent:
        """Return the current PaymentIntent; see Gateway."""
        call = Call("get", path_of(INTENT, intent_id))
        try:
            return self._ask(call, deadline, _reader_of(intent_id))
        except Refused as refused:
            # The client did not cause this, so the error must not blame its request.
            raise GatewayFailed("Stripe did not show a PaymentIntent.") from refused

    def shows(self, intent: Intent, sent: SentParams) -> bool:
        """Whether the PaymentIntent already has these values; see Gateway."""
        return shows(intent, sent.params)

    def cancel(self, intent_id: str, reason: str, deadline: Deadline) -> Intent | None:
        """Cancel a PaymentIntent; see Gateway. Each call uses a new key."""
        params = {"cancellation_reason": reason}
        key = f"cancel-{intent_id}-{uuid.uuid4().hex}"
        try:
            return self._ask(
                Call("post", path_of(CANCEL, intent_id), params, key),
                deadline,
                _reader_of(intent_id),
            )
        except Refused:
            return None

    def walk(self, since: float, page_seconds: float) -> Iterator[Intent]:
        """Yield the orders' PaymentIntents created since then; see Gateway."""
        stretch = Stretch(int(since), None)
        return self._pages.in_turn(stretch, lambda: Deadline.after(page_seconds), _names_an_order)

    def find(
        self, order: Order, since: float, deadline: Deadline, sent_until: float | None = None
    ) -> list[Intent]:
        """Return the PaymentIntents that Stripe has for the order; see Gateway."""
        now = self._clock()
        reach = now - LIST_REACH_SECONDS
        if sent_until is None or sent_until < since:
            # Either the send ended just now, or a clock was set back.
            sent_until = now
        until = sent_until + LATE_SECONDS + CLOCK_SKEW_SECONDS
        if since >= reach:
            elder = self._search_a_moment(order, deadline)
            listed = self._list_of(order, since, until, deadline)
        else:
            elder, searched = self._search_all(order, deadline)
            within_reach = not searched or until >= reach
            earliest = max(since, reach) if searched else since
            listed = self._list_of(order, earliest, until, deadline) if within_reach else []
        found = {intent.id: intent for intent in listed}
        for intent in elder:
            if intent.id not in found:
                found[intent.id] = self._as_it_is(intent, deadline)
        return [each for each in found.values() if not each.missing and each.is_of(order)]

    def _as_it_is(self, searched: Intent, deadline: Deadline) -> Intent:
        """Retrieve a result of the search, which may be stale: test data may be deleted by now."""
        try:
            return self.retrieve(searched.id, deadline)
        except NoSuchIntent as unknown:
            if searched.livemode:
                raise GatewayFailed("Stripe's search names an unknown PaymentIntent.") from unknown
            return replace(searched, missing=True)

    def _list_of(
        self, order: Order, since: float, until: float, deadline: Deadline
    ) -> list[Intent]:
        """Return the order's PaymentIntents in the list. An `until` in the future is not sent.

        The search came before, so Stripe's clock is known if Stripe answers at all.
        """
        ahead = self._stripe_clock.ahead()
        # Widen the stretch only: the difference may be younger than the send.
        latest = math.ceil(until + max(0.0, ahead)) if until < self._clock() else None
        stretch = Stretch(int(since + min(0.0, ahead) - CLOCK_SKEW_SECONDS), latest)
        return self._pages.all(stretch, deadline, _names(order))

    def _search_all(self, order: Order, deadline: Deadline) -> tuple[list[Intent], bool]:
        """Search; also return whether the account has search. If not, list from the start."""
        try:
            return self._search(order, deadline), True
        except (Refused, NoSuchIntent):
            return [], False

    def _search_a_moment(self, order: Order, deadline: Deadline) -> list[Intent]:
        """Search for what clock skew hides from the list; a failure is not an error."""
        soon = min(deadline.at, deadline.monotonic() + EXTRA_SEARCH_SECONDS)
        try:
            return self._search(order, Deadline(soon, deadline.monotonic))
        except (PaymentError, NoSuchIntent):
            return []

    def _search(self, order: Order, deadline: Deadline) -> list[Intent]:
        return list(self._pages.search(_query(order), deadline, _names(order)))

    def params_of_capture(self, amount: int, authorized: int) -> SentParams:
        """Return the parameters of a capture; see Gateway."""
        if amount < authorized and self.api_version < RELEASED_SINCE:
            raise BadRequest(
                f"With STRIPE_API_VERSION={self.api_version} Stripe would refund what is not "
                f"captured: capture all of it, or set {RELEASED_SINCE} or later.",
                param="amount_to_capture",
            )
        return self._sent({"amount": amount})

    def capture(self, intent_id: str, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Capture an authorized PaymentIntent; see Gateway."""
        return self._money.capture(intent_id, sent, key, deadline)

    def params_of_refund(self, named: Mapping[str, Any]) -> SentParams:
        """Return the parameters of a refund, which are Stripe's own; see PaymentMoney."""
        return self._sent(named)

    def refund(
        self, intent_id: str, sent: SentParams, key: str, deadline: Deadline
    ) -> RefundOutcome:
        """Refund a paid PaymentIntent; see Gateway."""
        return self._money.refund(intent_id, sent, key, deadline)

    def list_refunds(self, intent_id: str, deadline: Deadline) -> list[Refund]:
        """Return the refunds of a PaymentIntent; see Gateway."""
        return self._money.list_refunds(intent_id, deadline)

    def list_disputes(self, intent_id: str, deadline: Deadline) -> list[Dispute]:
        """Return the disputes of a PaymentIntent; see Gateway."""
        return self._money.list_disputes(intent_id, deadline)

    def walk_refunds(self, since: float, page_seconds: float) -> Iterator[Refund]:
        """Yield the refunds made since then; see Gateway."""
        return self._money.walk_refunds(since, page_seconds)

    def walk_disputes(self, since: float, page_seconds: float) -> Iterator[Dispute]:
        """Yield the disputes opened since then; see Gateway."""
        return self._money.walk_disputes(since, page_seconds)

    def charge(self, intent: Intent, deadline: Deadline) -> Charge | None:
        """Return the last attempt to pay a PaymentIntent; see Gateway."""
        return self._money.charge(intent, deadline)

    def _sent(self, params: Mapping[str, Any]) -> SentParams:
        return SentParams(self.api_version, params, self.facts.name)

    def _try(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T | Failed:
        try:
            return self._sender.send(call, deadline, read)
        except SendFailed as failed:
            return _outcome(failed, call)

    def _ask(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        try:
            return self._sender.send(call, deadline, read)
        except SendFailed as failed:
            if is_missing(failed):
                raise NoSuchIntent(call.path) from failed
            raise error_of(failed) from failed


def _outcome(failed: SendFailed, call: Call) -> Failed:
    verdict, error = failed.verdict, error_of(failed)
    if verdict.meaning is Meaning.MISUSED:
        return KeyMisused(error)
    if isinstance(error, Refused):
        return Declined(error, verdict.replayed, call.after_unresolved)
    return Unclear(
        error,
        saved_5xx=verdict.saved_5xx,
        from_before=verdict.replayed and not call.after_unresolved,
        of_this_call=verdict.original_request in call.request_ids,
        answered_500=verdict.status == 500,
    )


def _query(order: Order) -> str:
    """Build a query in Stripe's search language; only quotes and backslashes need escaping."""
    query = f"metadata['order_id']:'{_escaped(order.order_id)}'"
    if order.client_id is None:
        return query
    return f"{query} AND metadata['client_id']:'{_escaped(order.client_id)}'"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _reader_of(intent_id: str) -> Callable[[Answer], Intent]:
    return lambda answer: same_intent(read_intent(answer.body), intent_id)


def _read_made(answer: Answer, sent: SentParams) -> Made:
    return Made(same_order(read_intent(answer.body), sent.params), is_replay(answer))


def _names(order: Order) -> Wanted:
    return lambda found: names_order(found.get("metadata"), order)


def _names_an_order(found: Mapping[str, Any]) -> bool:
    """Whether it may be ours: it names an order and has a client_secret.

    Other software may write an order_id, too.
    """
    metadata = found.get("metadata")
    named = isinstance(metadata, dict) and metadata.get("order_id") is not None
    return named and found.get("client_secret") is not None
