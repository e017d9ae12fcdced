"""The payment flow with a memory store, the sandbox's core and a clock that only sleep moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.key_store.contract import KeyStore, Order
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.context import Context, Timing
from payment_service.payments.creation.create import create_once
from payment_service.payments.creation.states import Created
from payment_service.payments.observer import Observation
from payment_service.payments.record import transitions
from payment_service.payments.record.lease_keeper import LeaseKeeper
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import Records
from payment_service.payments.record.transitions import Lease, Wanted
from sandbox.core import Sandbox
from sandbox.faults import FaultOrder, Match
from tests.support.sandbox_transport import SandboxTransport

NOW = 1_800_000_000.0
BUDGET_SECONDS = 25.0
KEY = "Bearer sk_test_shop"
CREATE = Match(method="POST", path="/v1/payment_intents$")


def order_record(order: Order, **follow_up: Any) -> OrderRecord:
    """Return a first claim at NOW with these follow-up fields."""
    sent = SentParams("v", {"amount": 1099, "currency": "usd"})
    claim = transitions.first_claim(Wanted(order, "f" * 64, sent), Lease("first", NOW, 35.0))
    return claim.with_follow_up(**follow_up)


class FlowBench:
    """Creates orders, makes Stripe fail, moves the clock, and counts PaymentIntents."""

    def __init__(self, store: KeyStore | None = None) -> None:
        self.now = NOW
        self.stripe_ahead = 0.0
        self.sandbox = Sandbox(lambda: self.now + self.stripe_ahead, seed=1)
        self.store = store or MemoryStore()
        self.records = Records(self.store)
        self.seen: list[Observation] = []
        self.on_sleep: Callable[[float], None] = lambda _: None
        # Seconds that Stripe takes for each response, and what happens during a send.
        self.send_seconds = 0.0
        self.on_answer: Callable[[], None] = lambda: None
        self._owners = itertools.count()
        self.context = self.another()

    def another(self) -> Context:
        """Return the dependencies of another process on the same store."""
        gateway = StripeGateway(
            "sk_test_shop",
            SandboxTransport(self.sandbox, self._pass),
            policy=RetryPolicy(sleep=self.sleep, uniform=lambda _, high: high),
            clock=lambda: self.now,
        )
        return Context(
            self.records,
            gateway,
            Timing(lock=BUDGET_SECONDS + 10, store=2),
            clock=lambda: self.now,
            sleep=self.sleep,
            owner=lambda: f"owner-{next(self._owners)}",
            observe=self.seen.append,
            leases=LeaseKeeper(monotonic=lambda: self.now),
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep(seconds)

    def _pass(self, what: str) -> None:
        if what == "answer":
            self.now += self.send_seconds
            self.on_answer()

    def wanted(self, order_id: str = "A-1", amount: int = 1099, **more: Any) -> Wanted:
        params = {
            "amount": amount,
            "currency": "usd",
            "metadata": {"order_id": order_id},
            **more,
        }
        order = Order(livemode=False, client_id=None, order_id=order_id)
        sent = SentParams(self.context.gateway.api_version, params)
        return Wanted(order, f"print of {amount} {sorted(more)}", sent)

    def ask(self, order_id: str = "A-1", amount: int = 1099, **more: Any) -> Created:
        return self.ask_within(BUDGET_SECONDS, self.wanted(order_id, amount, **more))

    def ask_within(self, budget_seconds: float, wanted: Wanted | None = None) -> Created:
        deadline = Deadline.after(budget_seconds, lambda: self.now)
        return create_once(self.context, wanted or self.wanted(), deadline)

    def break_creation(self, kind: str, **more: Any) -> None:
        self.sandbox.faults.order(FaultOrder(kind, CREATE, **more))

    def act(self, intent_id: str, verb: str) -> None:
        """Confirm or cancel a PaymentIntent, as the shopper or the shop does."""
        body = b"payment_method=pm_card_visa&return_url=https://shop.example"
        path, headers = f"/v1/payment_intents/{intent_id}/{verb}", {"authorization": KEY}
        answer = self.sandbox.handle("POST", path, headers, body if verb == "confirm" else b"")
        assert answer.status == 200, answer.body

    def record(self, order_id: str = "A-1") -> Any:
        return self.records.read(Order(livemode=False, client_id=None, order_id=order_id))

    def made(self, order_id: str = "A-1") -> list[dict[str, Any]]:
        """Return every PaymentIntent of the order, oldest first."""
        return [
            record.intent
            for books in self.sandbox.books.values()
            for record in books.ledger.records.values()
            if record.intent["metadata"].get("order_id") == order_id
        ]

    def payable(self, order_id: str = "A-1") -> list[str]:
        return [each["id"] for each in self.made(order_id) if each["status"] != "canceled"]

    def sends(self, path: str = "POST /v1/payment_intents") -> int:
        counts = self.sandbox.log.shown_counts()
        return sum(count for name, count in counts.items() if f"{name} ".startswith(f"{path} "))

    def whats(self) -> list[str]:
        return [each.what for each in self.seen]
