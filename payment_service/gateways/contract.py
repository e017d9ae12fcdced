"""The gateway contracts: the operations that the payment rules need from a provider.

At an open gateway (Gateway) the shopper can pay what the service gave out. At a gated one
(GatedGateway) the shopper can only approve, and money moves by a capture of ours.

Each provider has its own folder here. tests/conformance/gateways checks each against the contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from msgspec import Struct

from payment_service.gateways.capture_outcome import CaptureOutcome
from payment_service.gateways.charge import Charge
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.dispute import Dispute
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import GatedOutcome, Outcome, RefundOutcome
from payment_service.gateways.payment_fields import PaymentFields
from payment_service.gateways.refund import Refund
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order


class NoSuchIntent(Exception):
    """The gateway has no such PaymentIntent for this API key and account.

    Only the gateway's own definitive answer raises it, never a proxy's 404.
    """


class NamedPayment(Struct, frozen=True):
    """A payment at a gated gateway that names an order, whatever its price.

    `sent`: the parameters under which the gateway reads it from now on.
    """

    intent: Intent
    sent: SentParams


class PaymentMoney(Protocol):
    """The money that a provider has taken, and what is given back of it.

    That of an open gateway is about all its payments; that of a gated one is about one payment.
    """

    @property
    def facts(self) -> GatewayFacts:
        """The guarantees that the provider gives, for the keys of refunds."""
        ...

    def check_amount(self, amount: int, currency: str, field: str = "amount") -> None:
        """Raise BadRequest, which names `field`, for an amount that the currency cannot have."""
        ...

    def params_of_refund(self, named: Mapping[str, Any]) -> SentParams:
        """Return the parameters of a refund: the same request always gives the same text.

        `named`: `amount`, `reason` if there is one, and `metadata`, which names the order and the
        refund. Raises BadRequest for what the provider certainly cannot do.
        """
        ...

    def refund(
        self, intent_id: str, sent: SentParams, key: str, deadline: Deadline
    ) -> RefundOutcome:
        """Refund a paid PaymentIntent under an idempotency key.

        `sent`: from `params_of_refund`. A key that the gateway has forgotten refunds again, so
        look with `list_refunds` before a key is resent late. Declined tells
        that this call refunded nothing: more than is left, a dispute, or an unpaid PaymentIntent.
        A gateway failure never raises. Raises ValueError for an invalid key, NoSuchIntent for a
        malformed id.
        """
        ...

    def list_refunds(self, intent_id: str, deadline: Deadline) -> list[Refund]:
        """Return the current state of every refund of a PaymentIntent, newest first.

        It shows a refund as soon as it is made, the dashboard's too. Raises NoSuchIntent for a
        malformed id, and a PaymentError if the gateway's answer is incomplete.
        """
        ...

    def list_disputes(self, intent_id: str, deadline: Deadline) -> list[Dispute]:
        """Return the current state of every dispute of a PaymentIntent; raises as list_refunds."""
        ...


class Gateway(PaymentMoney, Protocol):
    """One account at one provider. Every call ends before its deadline."""

    api_version: str

    def params_of(self, payment: PaymentFields) -> SentParams:
        """Return the parameters of a creation: the same request always gives the same text.

        Raises BadRequest for what the provider certainly rejects.
        """
        ...

    def params_of_update(self, payment: PaymentFields, currency: str | None) -> SentParams:
        """Return the parameters of an update; `currency` is the one after it.

        Absent fields keep their values. Raises BadRequest for what the provider certainly rejects.
        """
        ...

    def create(self, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Create a PaymentIntent under an idempotency key. A gateway failure never raises."""
        ...

    def retrieve(self, intent_id: str, deadline: Deadline) -> Intent:
        """Return the current PaymentIntent.

        Raises NoSuchIntent, or a PaymentError if the gateway gave no usable answer.
        """
        ...

    def find(
        self, order: Order, since: float, deadline: Deadline, sent_until: float | None = None
    ) -> list[Intent]:
        """Return the current state of every PaymentIntent whose metadata names the order.

        `since` (Unix seconds): the earliest time at which one may have been created.
        `sent_until`: when the last send that may have created one ended; None means just now.
        Reads the whole list between the two, and searches for older PaymentIntents than the list
        covers. Raises a PaymentError if the gateway's answer is incomplete.
        """
        ...

    def walk(self, since: float, page_seconds: float) -> Iterator[Intent]:
        """Yield every PaymentIntent created since then, in its state when its page is read.

        `page_seconds` bounds each page. Raises a PaymentError if the gateway's answer is
        incomplete.
        """
        ...

    def update(self, intent_id: str, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Update a PaymentIntent under an idempotency key. A gateway failure never raises."""
        ...

    def shows(self, intent: Intent, sent: SentParams) -> bool:
        """Whether the PaymentIntent already has the values that this update sets."""
        ...

    def cancel(self, intent_id: str, reason: str, deadline: Deadline) -> Intent | None:
        """Cancel a PaymentIntent; return None if its status does not (or no longer) allow that.

        Raises NoSuchIntent, or a PaymentError if the gateway gave no usable answer.
        """
        ...

    def params_of_capture(self, amount: int, authorized: int) -> SentParams:
        """Return the parameters of a capture; what is authorized beyond the amount is released.

        Raises BadRequest if the provider would count what is released as refunded.
        """
        ...

    def capture(self, intent_id: str, sent: SentParams, key: str, deadline: Deadline) -> Outcome:
        """Capture an authorized PaymentIntent under an idempotency key, once.

        `sent`: from `params_of_capture`. A gateway failure never raises. Raises ValueError for an
        invalid key, NoSuchIntent for a malformed id.
        """
        ...

    def walk_refunds(self, since: float, page_seconds: float) -> Iterator[Refund]:
        """Yield every refund of a PaymentIntent that was made since then, in its current state.

        `page_seconds` bounds each page. Raises a PaymentError if the answer is incomplete.
        """
        ...

    def walk_disputes(self, since: float, page_seconds: float) -> Iterator[Dispute]:
        """Yield every dispute of a PaymentIntent that was opened since then; as walk_refunds."""
        ...

    def charge(self, intent: Intent, deadline: Deadline) -> Charge | None:
        """Return the last attempt to pay a PaymentIntent; None before the first attempt to pay it.

        Raises a PaymentError if the gateway gave no usable answer.
        """
        ...


class GatedGateway(Protocol):
    """One account at one provider at which only our capture moves money (rule 18).

    Every answer must name the payment's id, the order, its amount and its currency; otherwise it
    is unreadable, and never another shopper's link. Every call ends before its deadline.
    """

    api_version: str

    @property
    def facts(self) -> GatewayFacts:
        """The guarantees that the provider gives."""
        ...

    def params_of(self, payment: PaymentFields) -> SentParams:
        """Return the parameters of a creation: the same request always gives the same text.

        Raises Unsuited for an order that the provider cannot take.
        """
        ...

    def create(self, sent: SentParams, key: str, deadline: Deadline) -> GatedOutcome:
        """Create a payment under a request id; its Intent has a `redirect_url`.

        A resend returns the payment in its present state. A gateway failure never raises. Raises
        ValueError for an invalid key.
        """
        ...

    def retrieve(self, intent_id: str, sent: SentParams, deadline: Deadline) -> Intent:
        """Return the current payment, checked against the parameters of its creation.

        `redirect_url` is None if the provider shows no link. Raises NoSuchIntent, or a
        PaymentError if the gateway gave no usable answer.
        """
        ...

    def capture(
        self, intent_id: str, sent: SentParams, key: str, deadline: Deadline
    ) -> CaptureOutcome:
        """Capture an approved payment, all of it, under a request id. `sent`: its creation.

        After an unclear send it reads the payment before it sends again. A gateway failure never
        raises. Raises ValueError for an invalid key, NoSuchIntent for a malformed id.
        """
        ...

    def find_named(self, intent_id: str, order: Order, deadline: Deadline) -> NamedPayment | None:
        """Return a payment that names this order; None if there is none with this id and name.

        Only for a payment that no record has: nothing but its name is checked. Raises a
        PaymentError if the gateway gave no usable answer.
        """
        ...

    def money(self, sent: SentParams) -> PaymentMoney:
        """Return the money of a payment, which every read checks against `sent`: its creation."""
        ...
