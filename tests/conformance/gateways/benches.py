"""One bench per provider: the gateway, its stand-in, and ways to make the stand-in fail."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from payment_service.gateways.capture_outcome import Captured, CaptureOutcome
from payment_service.gateways.contract import GatedGateway, Gateway, PaymentMoney
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Made, Refunded, RefundOutcome
from payment_service.gateways.refund import Refund
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.money_events import money_event
from payment_service.key_store.contract import Order
from sandbox import dashboard
from sandbox.faults import FaultOrder, Match
from sandbox.paypal import acts
from tests.support.flow_bench import CREATE, FlowBench
from tests.support.paypal_flow import PayPalFlow

_MATCHES = {
    "create": CREATE,
    "capture": Match(method="POST", path="/v1/payment_intents/"),
    "refund": Match(method="POST", path="/v1/refunds$"),
}

ORDER = Order(livemode=False, client_id=None, order_id="A-1")


class Bench(ABC):
    """A gateway over a stand-in of its provider, with a clock that the test moves."""

    gateway: Any

    @property
    @abstractmethod
    def now(self) -> float:
        """The time in Unix seconds."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Move the clock."""

    @abstractmethod
    def sent(self, amount: int = 1099, order_id: str = "A-1", **more: Any) -> SentParams:
        """Return the parameters of a creation."""

    @abstractmethod
    def refused(self) -> SentParams:
        """Return the parameters of a creation that the provider refuses."""

    @abstractmethod
    def lose_answers(self, of: str = "create") -> None:
        """Carry out every create, capture or refund from now on, and lose its answer."""

    @abstractmethod
    def lose_requests(self, of: str = "create") -> None:
        """Let no create, capture or refund arrive from now on."""

    @abstractmethod
    def answer_404(self) -> None:
        """Let a server in front of the provider answer every request with 404."""

    @abstractmethod
    def mend(self) -> None:
        """Let everything arrive again."""

    @abstractmethod
    def pay(self, intent_id: str) -> None:
        """Pay as the shopper does."""

    @abstractmethod
    def retrieve(self, intent_id: str) -> Intent:
        """Return the current payment of order A-1."""

    @abstractmethod
    def payments(self) -> list[str]:
        """Return the ids of the payments of order A-1 that exist at the provider."""

    @abstractmethod
    def given_out(self, intent: Intent) -> str | None:
        """Return what the shopper gets: a client_secret, or the address of a page."""

    @abstractmethod
    def fail_and_save(self, of: str = "create") -> None:
        """Answer the next create, capture or refund with a 5xx that is saved under its key."""

    def soon(self) -> Deadline:
        return Deadline.after(30, lambda: self.now)

    def create(self, key: str = "key-1", sent: SentParams | None = None) -> Any:
        return self.gateway.create(sent or self.sent(), key, self.soon())

    def made(self, key: str = "key-1", sent: SentParams | None = None) -> Made:
        outcome = self.create(key, sent)
        assert isinstance(outcome, Made), outcome
        return outcome


class GatewayBench(Bench):
    """An open gateway: the shopper can pay what the service gave out."""

    gateway: Gateway

    @abstractmethod
    def sent_update(self, amount: int) -> SentParams:
        """Return the parameters of an update."""

    @abstractmethod
    def authorized(self) -> Intent:
        """Return a PaymentIntent over 1099 whose amount the shopper has authorized."""

    @abstractmethod
    def lapse(self) -> None:
        """Wait until an authorization lapses."""

    @abstractmethod
    def refund_outside(self, intent_id: str, amount: int) -> str:
        """Refund as a person does in the provider's dashboard, and return the refund's id."""

    @abstractmethod
    def fail_refund(self, refund_id: str) -> None:
        """Let a refund fail at the bank, after it succeeded."""

    @abstractmethod
    def dispute(self, intent_id: str, *, inquiry: bool = False) -> str:
        """Dispute as the shopper's bank does, and return the dispute's id."""

    @abstractmethod
    def decide(self, dispute_id: str, verb: str) -> None:
        """Decide a dispute: `review`, `win` or `lose`."""

    @abstractmethod
    def break_lists(self) -> None:
        """Answer every list of refunds or disputes with something unreadable."""

    @abstractmethod
    def last_event(self, kind: str) -> Any:
        """Return the provider's last event whose type begins so, as the webhook reads it."""

    def paid(self) -> Intent:
        """Return a PaymentIntent over 1099 that is paid."""
        made = self.made().intent
        self.pay(made.id)
        return self.gateway.retrieve(made.id, self.soon())

    def capture(self, intent_id: str, key: str = "capture-1", **params: Any) -> Any:
        sent = SentParams(self.gateway.api_version, params)
        return self.gateway.capture(intent_id, sent, key, self.soon())

    def refund(self, intent_id: str, key: str = "refund-1", **params: Any) -> Any:
        """Refund R-1 of the order, or the `refund_id`."""
        metadata = {"order_id": ORDER.order_id, "refund_id": params.pop("refund_id", "R-1")}
        sent = SentParams(self.gateway.api_version, {"metadata": metadata, **params})
        return self.gateway.refund(intent_id, sent, key, self.soon())

    def refunded(self, intent_id: str, key: str = "refund-1", **params: Any) -> Refunded:
        outcome = self.refund(intent_id, key, **params)
        assert isinstance(outcome, Refunded), outcome
        return outcome

    def refunds(self, intent_id: str) -> list[Refund]:
        return self.gateway.list_refunds(intent_id, self.soon())

    def retrieve(self, intent_id: str) -> Intent:
        return self.gateway.retrieve(intent_id, self.soon())

    def payments(self) -> list[str]:
        return self.find()

    def given_out(self, intent: Intent) -> str | None:
        return intent.client_secret

    def find(self, since: float | None = None, sent_until: float | None = None) -> list[str]:
        """Return the ids of the order's PaymentIntents."""
        since = self.now - 60 if since is None else since
        found = self.gateway.find(ORDER, since, self.soon(), sent_until)
        return sorted(each.id for each in found)


class StripeBench(GatewayBench):
    """Stripe's gateway over the sandbox in this process."""

    def __init__(self) -> None:
        self.flow = FlowBench()
        self.gateway = self.flow.context.gateway

    @property
    def now(self) -> float:
        return self.flow.now

    def wait(self, seconds: float) -> None:
        self.flow.now += seconds
        self.flow.sandbox.settle()

    def sent(self, amount: int = 1099, order_id: str = "A-1", **more: Any) -> SentParams:
        params = {"amount": amount, "currency": "usd", "metadata": {"order_id": order_id}}
        return SentParams(self.gateway.api_version, {**params, **more})

    def sent_update(self, amount: int) -> SentParams:
        return SentParams(self.gateway.api_version, {"amount": amount, "currency": "usd"})

    def refused(self) -> SentParams:
        return self.sent(customer="cus_missing")

    def lose_answers(self, of: str = "create") -> None:
        self._order("lost_after", of, count=None)

    def lose_requests(self, of: str = "create") -> None:
        self._order("lost_before", of, count=None)

    def answer_404(self) -> None:
        self.flow.sandbox.faults.order(FaultOrder("not_found_404", count=None))

    def mend(self) -> None:
        self.flow.sandbox.faults.clear()

    def fail_and_save(self, of: str = "create") -> None:
        self._order("error_500_without_object", of)

    def pay(self, intent_id: str) -> None:
        self.flow.act(intent_id, "confirm")

    def lag(self, seconds: float) -> None:
        """Let the search lag behind."""
        rules = dataclasses.replace(self.flow.sandbox.rules, search_lag_seconds=seconds)
        self.flow.sandbox.rules = rules

    def authorized(self) -> Intent:
        made = self.made("key-held", self.sent(capture_method="manual")).intent
        self.pay(made.id)
        return self.gateway.retrieve(made.id, self.soon())

    def lapse(self) -> None:
        self.wait(self.flow.sandbox.rules.authorization_seconds)

    def refund_outside(self, intent_id: str, amount: int) -> str:
        return str(dashboard.refund_intent(self.flow.sandbox, intent_id, amount)["id"])

    def fail_refund(self, refund_id: str) -> None:
        dashboard.change_refund(self.flow.sandbox, refund_id, "fail", "lost_or_stolen_card")

    def dispute(self, intent_id: str, *, inquiry: bool = False) -> str:
        made = dashboard.dispute_intent(self.flow.sandbox, intent_id, inquiry=inquiry)
        return str(made["id"])

    def decide(self, dispute_id: str, verb: str) -> None:
        dashboard.change_dispute(self.flow.sandbox, dispute_id, verb)

    def break_lists(self) -> None:
        for path in ("/v1/refunds", "/v1/disputes"):
            match = Match(method="GET", path=path)
            self.flow.sandbox.faults.order(FaultOrder("empty_object", match, count=None))

    def last_event(self, kind: str) -> Any:
        (books,) = self.flow.sandbox.books.values()
        events = (each for each in reversed(books.ledger.events) if each["type"].startswith(kind))
        return money_event(next(events))

    def _order(self, kind: str, of: str, **more: Any) -> None:
        self.flow.sandbox.faults.order(FaultOrder(kind, _MATCHES[of], **more))


class GatedBench(Bench):
    """A gated gateway: only a capture of ours moves money."""

    gateway: GatedGateway

    @abstractmethod
    def approve(self, intent_id: str, outcome: str = "succeeded") -> None:
        """Approve as the shopper does. `outcome` of the capture: a status, or `declined`."""

    @abstractmethod
    def expire(self) -> None:
        """Wait until an approval lapses."""

    @abstractmethod
    def end_outside(self, intent_id: str) -> None:
        """End a payment at the provider before its capture."""

    @abstractmethod
    def refund_outside(self, intent_id: str, amount: int) -> str:
        """Refund in the provider's dashboard; return the refund's id."""

    @abstractmethod
    def end_refund(self, intent_id: str, status: str) -> None:
        """Let the last refund of a payment fail, or be canceled."""

    def money(self) -> PaymentMoney:
        """Return the money of the payments of order A-1."""
        return self.gateway.money(self.sent())

    def sent_refund(self, amount: int, refund_id: str = "R-1", **metadata: str) -> SentParams:
        """Return the parameters of a refund of order A-1."""
        ours = {"order_id": ORDER.order_id, "refund_id": refund_id}
        return self.money().params_of_refund({"amount": amount, "metadata": {**metadata, **ours}})

    def refund(self, intent_id: str, amount: int, key: str = "refund-1") -> RefundOutcome:
        return self.money().refund(intent_id, self.sent_refund(amount), key, self.soon())

    def refunded(self, intent_id: str, amount: int, key: str = "refund-1") -> Refunded:
        outcome = self.refund(intent_id, amount, key)
        assert isinstance(outcome, Refunded), outcome
        return outcome

    def refunds(self, intent_id: str) -> list[Refund]:
        return self.money().list_refunds(intent_id, self.soon())

    def capture(self, intent_id: str, key: str = "capture-1") -> CaptureOutcome:
        return self.gateway.capture(intent_id, self.sent(), key, self.soon())

    def retrieve(self, intent_id: str) -> Intent:
        return self.gateway.retrieve(intent_id, self.sent(), self.soon())

    def given_out(self, intent: Intent) -> str | None:
        return intent.redirect_url

    def approved(self, outcome: str = "succeeded", key: str = "key-1") -> Intent:
        """Return a payment over 1099 that the shopper has approved."""
        made = self.made(key).intent
        self.approve(made.id, outcome)
        return self.retrieve(made.id)

    def pay(self, intent_id: str) -> None:
        self.approve(intent_id)
        captured = self.capture(intent_id, f"capture-{intent_id}")
        assert isinstance(captured, Captured), captured


class PayPalBench(GatedBench):
    """PayPal's gateway over its stand-in in this process."""

    _PATHS: ClassVar = {
        "create": "/v2/checkout/orders$",
        "capture": "/v2/checkout/orders/",
        "refund": "/v2/payments/captures/",
    }
    _PLANS: ClassVar = {
        "succeeded": "COMPLETED",
        "processing": "PENDING",
        "canceled": "DECLINED",
        "declined": "INSTRUMENT_DECLINED",
        "over": "TRANSACTION_REFUSED",
    }

    def __init__(self) -> None:
        self.flow = PayPalFlow()
        self.gateway = self.flow.gateway

    @property
    def now(self) -> float:
        return self.flow.now

    def wait(self, seconds: float) -> None:
        self.flow.now += seconds
        self.flow.sandbox.settle()

    def sent(self, amount: int = 1099, order_id: str = "A-1", **more: Any) -> SentParams:
        return self.flow.sent(amount, order_id, **more)

    def refused(self) -> SentParams:
        sent = self.sent()
        return SentParams(sent.api_version, {**sent.params, "amount": 10**20}, sent.gateway)

    def lose_answers(self, of: str = "create") -> None:
        self._order("lost_after", of, count=None)

    def lose_requests(self, of: str = "create") -> None:
        self._order("lost_before", of, count=None)

    def answer_404(self) -> None:
        self.flow.sandbox.faults.order(FaultOrder("not_found_404", count=None))

    def mend(self) -> None:
        self.flow.sandbox.faults.clear()

    def fail_and_save(self, of: str = "create") -> None:
        raise NotImplementedError("PayPal saves no errors")

    def payments(self) -> list[str]:
        orders = self.flow.sandbox.orders.values()
        return sorted(each.id for each in orders if each.unit["custom_id"] == "A-1")

    def approve(self, intent_id: str, outcome: str = "succeeded") -> None:
        self.flow.approve(intent_id, self._PLANS[outcome])

    def expire(self) -> None:
        self.wait(self.flow.sandbox.rules.approved_seconds)

    def end_outside(self, intent_id: str) -> None:
        acts.void(self.flow.sandbox, intent_id)

    def refund_outside(self, intent_id: str, amount: int) -> str:
        value = f"{amount // 100}.{amount % 100:02}"
        order = acts.refund(self.flow.sandbox, intent_id, value)
        return str(order.refunds[-1]["id"])

    def end_refund(self, intent_id: str, status: str) -> None:
        ends = {"failed": "FAILED", "canceled": "CANCELLED"}
        acts.change_refund(self.flow.sandbox, intent_id, ends[status])

    def _order(self, kind: str, of: str, **more: Any) -> None:
        match = Match(method="POST", path=self._PATHS[of])
        self.flow.sandbox.faults.order(FaultOrder(kind, match, **more))


OPEN: dict[str, type[GatewayBench]] = {"stripe": StripeBench}
GATED: dict[str, type[GatedBench]] = {"paypal": PayPalBench}
BENCHES: dict[str, type[Bench]] = {**OPEN, **GATED}
