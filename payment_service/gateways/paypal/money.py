"""The money of one PayPal order: its refunds, made with Payments v2 and read from the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from payment_service.errors import BadRequest, GatewayFailed, PaymentError, Refused
from payment_service.gateways.calls import Answer
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.dispute import Dispute
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.outcome import Declined, Failed, Refunded, RefundOutcome, Unclear
from payment_service.gateways.paypal.facts import API_VERSION, NAME, PAYPAL_REFUNDS
from payment_service.gateways.paypal.names import order_of, refund_name
from payment_service.gateways.paypal.orders import Expected
from payment_service.gateways.paypal.paths import ORDER, REFUND, path_of
from payment_service.gateways.paypal.refunds import (
    CapturedPayment,
    body,
    read_captured,
    read_made,
)
from payment_service.gateways.refund import Refund
from payment_service.gateways.sent_params import SentParams

# The names in a refund's metadata that the service itself gives.
_OURS = frozenset({"order_id", "client_id", "refund_id"})

T = TypeVar("T")


class Get(Protocol):
    """Reads an order. Raises PaymentError, NoSuchIntent."""

    def __call__(self, order_id: str, deadline: Deadline, read: Callable[[Answer], T]) -> T: ...


class Post(Protocol):
    """Sends under a request id and returns the outcome; never raises for what PayPal does."""

    def __call__(
        self,
        path: str,
        params: Mapping[str, Any],
        key: str,
        deadline: Deadline,
        read: Callable[[Answer], T],
    ) -> T | Failed: ...


class PayPalMoney(Struct, frozen=True):
    """A PaymentMoney. `sent`: the parameters of the order's creation."""

    sent: SentParams
    livemode: bool
    get: Get
    post: Post

    @property
    def facts(self) -> GatewayFacts:
        """The guarantees of Payments v2."""
        return PAYPAL_REFUNDS

    def check_amount(self, amount: int, currency: str, field: str = "amount") -> None:
        """Accept it: PayPal takes every amount of the currencies that it has for us."""

    def params_of_refund(self, named: Mapping[str, Any]) -> SentParams:
        """Return the parameters of a refund; see PaymentMoney. PayPal keeps no reason."""
        metadata, params = named["metadata"], self.sent.params
        if metadata.keys() - _OURS:
            message = "PayPal, where this order was paid, keeps none of a refund"
            raise BadRequest(f"metadata: {message}", param="metadata")
        order = order_of(params["custom_id"], livemode=self.livemode)
        name = refund_name(order, metadata["refund_id"]) if order else None
        if name is None:
            message = "PayPal, where this order was paid, keeps at most 127 characters"
            raise BadRequest(f"refund_id: {message}", param="refund_id")
        amount = {"amount": named["amount"], "currency": params["currency"]}
        return SentParams(API_VERSION, {**amount, "custom_id": name}, NAME)

    def refund(
        self, intent_id: str, sent: SentParams, key: str, deadline: Deadline
    ) -> RefundOutcome:
        """Refund the captured payment of the order; see PaymentMoney."""
        try:
            capture_id = self._captured(intent_id, deadline).id
        except PaymentError as error:
            return Unclear(error, saved_5xx=False)
        if capture_id is None:
            no = Refused("PayPal has taken no payment for this order.", code="not_captured")
            return Declined(no, replayed=False)
        expected = self._expected(intent_id)

        def read(answer: Answer) -> tuple[Refund | str, bool]:
            made = read_made(answer.body, capture_id, sent.params, expected)
            return made, answer.status == 200

        path = path_of(REFUND, capture_id)
        answered = self.post(path, body(sent.params), key, deadline, read)
        if not isinstance(answered, tuple):
            return answered
        made, replayed = answered
        if isinstance(made, Refund):
            return Refunded(made, replayed)
        return self._found(made, intent_id, deadline, replayed=replayed)

    def list_refunds(self, intent_id: str, deadline: Deadline) -> list[Refund]:
        """Return the refunds of the order; see PaymentMoney."""
        return self._captured(intent_id, deadline).refunds

    def list_disputes(self, intent_id: str, deadline: Deadline) -> list[Dispute]:  # noqa: ARG002
        """Return none: this service does not follow PayPal's disputes."""
        return []

    def _found(
        self, refund_id: str, intent_id: str, deadline: Deadline, *, replayed: bool
    ) -> RefundOutcome:
        """Read a refund whose answer showed only its id."""
        try:
            refunds = self.list_refunds(intent_id, deadline)
        except PaymentError as error:
            return Unclear(error, saved_5xx=False)
        for each in refunds:
            if each.id == refund_id:
                return Refunded(each, replayed)
        missing = GatewayFailed(
            "PayPal does not show the refund that it made.", code="paypal_error"
        )
        return Unclear(missing, saved_5xx=False)

    def _captured(self, intent_id: str, deadline: Deadline) -> CapturedPayment:
        """Read what must exist: a rejection never means that there is nothing."""
        path_of(ORDER, intent_id)
        expected = self._expected(intent_id)
        try:
            return self.get(intent_id, deadline, lambda got: read_captured(got.body, expected))
        except (Refused, NoSuchIntent) as refused:
            message = "PayPal did not show the refunds."
            raise GatewayFailed(message, code="paypal_error") from refused

    def _expected(self, intent_id: str) -> Expected:
        return Expected(self.sent.params, self.livemode, intent_id)
