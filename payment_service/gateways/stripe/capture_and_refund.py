"""Captures and refunds at Stripe, and the lists of refunds and disputes of a PaymentIntent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from payment_service.errors import GatewayFailed, Refused
from payment_service.gateways.calls import Answer, Call
from payment_service.gateways.charge import Charge
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.dispute import Dispute
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Failed, Made, Outcome, Refunded, RefundOutcome
from payment_service.gateways.refund import Refund
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.intents import read_intent, same_intent
from payment_service.gateways.stripe.keyed_calls import KeyedCalls, is_replay
from payment_service.gateways.stripe.lists import PAGE_SIZE, Ask
from payment_service.gateways.stripe.money import (
    UnreadableMoney,
    of_intent,
    read_charge,
    read_dispute,
    read_refund,
    same_refund,
)
from payment_service.gateways.stripe.paths import (
    CAPTURE,
    DISPUTES,
    INTENT,
    REFUNDS,
    charge_path,
    path_of,
)

T = TypeVar("T")
M = TypeVar("M", Refund, Dispute)

# Our names of the parameters of a capture, where Stripe's differ.
_CAPTURE_NAMES = {"amount": "amount_to_capture"}


class Try(Protocol):
    """Sends a call and returns the outcome; never raises for what Stripe does."""

    def __call__(
        self, call: Call, deadline: Deadline, read: Callable[[Answer], T]
    ) -> T | Failed: ...


class CaptureAndRefund:
    """The operations on an authorized or paid PaymentIntent; shared by all threads."""

    def __init__(self, ask: Ask, attempt: Try, keyed: KeyedCalls) -> None:
        self._ask, self._try, self._keyed = ask, attempt, keyed

    def capture(self, intent_id: str, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Capture a PaymentIntent; see Gateway."""

        def read(answer: Answer) -> Made:
            intent = same_intent(read_intent(answer.body), intent_id)
            return Made(intent, is_replay(answer))

        # A resend must translate the stored parameters to the same bytes, so never change this.
        params = {_CAPTURE_NAMES.get(name, name): value for name, value in sent.params.items()}
        path = path_of(CAPTURE, intent_id)
        call = self._keyed.call(path, params, key, sent.api_version, deadline)
        return self._try(call, deadline, read)

    def refund(
        self, intent_id: str, sent: SentParams, key: str, deadline: Deadline
    ) -> RefundOutcome:
        """Refund a PaymentIntent; see Gateway."""

        def read(answer: Answer) -> Refunded:
            refund = same_refund(read_refund(answer.body), intent_id, sent.params)
            return Refunded(refund, is_replay(answer))

        params = {**_named(intent_id), **sent.params}
        call = self._keyed.call(REFUNDS, params, key, sent.api_version, deadline)
        return self._try(call, deadline, read)

    def list_refunds(self, intent_id: str, deadline: Deadline) -> list[Refund]:
        """Return the refunds of a PaymentIntent; see Gateway."""
        return self._list(REFUNDS, intent_id, deadline, read_refund)

    def list_disputes(self, intent_id: str, deadline: Deadline) -> list[Dispute]:
        """Return the disputes of a PaymentIntent; see Gateway."""
        return self._list(DISPUTES, intent_id, deadline, read_dispute)

    def walk_refunds(self, since: float, page_seconds: float) -> Iterator[Refund]:
        """Yield the refunds made since then; see Gateway."""
        return self._walk(REFUNDS, since, page_seconds, read_refund)

    def walk_disputes(self, since: float, page_seconds: float) -> Iterator[Dispute]:
        """Yield the disputes opened since then; see Gateway."""
        return self._walk(DISPUTES, since, page_seconds, read_dispute)

    def charge(self, intent: Intent, deadline: Deadline) -> Charge | None:
        """Return the last charge of a PaymentIntent; see Gateway."""
        charge_id = intent.raw.get("latest_charge")
        if charge_id is None:
            return None
        return self._get(
            Call("get", charge_path(charge_id)),
            deadline,
            lambda answer: of_intent(read_charge(answer.body), intent.id),
        )

    def _list(
        self, path: str, intent_id: str, deadline: Deadline, read: Callable[[Any], M]
    ) -> list[M]:
        params: dict[str, Any] = {**_named(intent_id), "limit": PAGE_SIZE}
        found: list[M] = []
        while True:
            page = self._get(
                Call("get", path, params),
                deadline,
                lambda answer: _read_page(answer, intent_id, read),
            )
            found += page.objects
            if page.next_after is None:
                return found
            params = {**params, "starting_after": page.next_after}

    def _walk(
        self, path: str, since: float, page_seconds: float, read: Callable[[Any], M]
    ) -> Iterator[M]:
        params: dict[str, Any] = {"created": {"gte": int(since)}, "limit": PAGE_SIZE}
        while True:
            page = self._get(
                Call("get", path, params),
                Deadline.after(page_seconds),
                lambda answer: _read_mixed_page(answer, read),
            )
            yield from page.objects
            if page.next_after is None:
                return
            params = {**params, "starting_after": page.next_after}

    def _get(self, call: Call, deadline: Deadline, read: Callable[[Answer], T]) -> T:
        """Read what must exist: a rejection never means that there is nothing."""
        try:
            return self._ask(call, deadline, read)
        except (Refused, NoSuchIntent) as refused:
            raise GatewayFailed("Stripe did not show the refunds or the charge.") from refused


class _Page(Struct, Generic[M], frozen=True):
    objects: list[M]
    next_after: str | None


def _read_page(answer: Answer, intent_id: str, read: Callable[[Any], M]) -> _Page[M]:
    rows = answer.body["data"]
    if not isinstance(rows, list):
        raise UnreadableMoney("not a list")
    objects = [of_intent(read(row), intent_id) for row in rows]
    more = answer.body.get("has_more") is True
    if more and not rows:
        raise UnreadableMoney("an empty page with more behind it")
    return _Page(objects, objects[-1].id if more else None)


def _read_mixed_page(answer: Answer, read: Callable[[Any], M]) -> _Page[M]:
    """Read a page of a whole account; skip what belongs to no PaymentIntent."""
    rows = answer.body["data"]
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise UnreadableMoney("not a list")
    objects = [read(row) for row in rows if row.get("payment_intent") is not None]
    more = answer.body.get("has_more") is True
    if more and not rows:
        raise UnreadableMoney("an empty page with more behind it")
    return _Page(objects, rows[-1]["id"] if more else None)


def _named(intent_id: str) -> dict[str, str]:
    """Return the parameter that names the PaymentIntent. Raises NoSuchIntent for a malformed id."""
    path_of(INTENT, intent_id)
    return {"payment_intent": intent_id}
