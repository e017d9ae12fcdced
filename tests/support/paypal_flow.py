"""PayPal's gateway over its stand-in in this process, with a clock that only sleep moves."""

from __future__ import annotations

import dataclasses
from typing import Any

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Made
from payment_service.gateways.paypal.gateway import PayPalGateway
from payment_service.gateways.paypal.params import Pages
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.send_report import Send
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from payment_service.schema.secret import Secret
from sandbox.faults import FaultOrder, Match
from sandbox.paypal.acts import approve
from sandbox.paypal.core import PayPalSandbox
from tests.support.paypal_params import order_params
from tests.support.sandbox_transport import SandboxTransport

NOW = 1_800_000_000.0
BASE = "http://127.0.0.1:12112"
PAGES = Pages("https://shop.example/paid?order={order_id}", "https://shop.example/cart")


class PayPalFlow:
    """Creates, approves and captures orders, and makes PayPal fail."""

    def __init__(self, **rules: Any) -> None:
        self.now = NOW
        self.sandbox = PayPalSandbox(lambda: self.now, seed=1)
        self.rules(base_url=BASE, **rules)
        self.sends: list[Send] = []
        # The time for which the machine is suspended during each back-off.
        self.suspended_seconds = 0.0
        self.gateway = self.another()

    def another(self, secret: str = "secret", transport: Any = None) -> PayPalGateway:
        """Return the gateway of another process."""
        return PayPalGateway(
            "app-1",
            Secret(secret),
            transport or SandboxTransport(self.sandbox),
            PAGES,
            livemode=False,
            api_base=BASE,
            policy=RetryPolicy(sleep=self.sleep, uniform=lambda _, high: high),
            clock=lambda: self.now,
            report=self.sends.append,
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.suspended_seconds

    def soon(self, seconds: float = 30) -> Deadline:
        return Deadline.after(seconds, lambda: self.now)

    def rules(self, **changes: Any) -> None:
        self.sandbox.rules = dataclasses.replace(self.sandbox.rules, **changes)

    def sent(
        self, amount: int = 1099, order_id: str = "A-1", client_id: str | None = None, **more: Any
    ) -> SentParams:
        order = Order(livemode=False, client_id=client_id, order_id=order_id)
        return order_params(order, {"amount": amount, "currency": "usd", **more}, PAGES)

    def create(self, key: str = "key-1", sent: SentParams | None = None) -> Any:
        return self.gateway.create(sent or self.sent(), key, self.soon())

    def made(self, key: str = "key-1", sent: SentParams | None = None) -> Intent:
        outcome = self.create(key, sent)
        assert isinstance(outcome, Made), outcome
        return outcome.intent

    def approve(self, order_id: str, plan: str = "COMPLETED") -> None:
        approve(self.sandbox, order_id, plan)

    def approved(self, plan: str = "COMPLETED", key: str = "key-1") -> str:
        order_id = self.made(key).id
        self.approve(order_id, plan)
        return order_id

    def retrieve(self, order_id: str, sent: SentParams | None = None) -> Intent:
        return self.gateway.retrieve(order_id, sent or self.sent(), self.soon())

    def capture(self, order_id: str, key: str = "capture-1", seconds: float = 30) -> Any:
        return self.gateway.capture(order_id, self.sent(), key, self.soon(seconds))

    def fault(self, kind: str, path: str, method: str = "POST", **more: Any) -> None:
        self.sandbox.faults.order(FaultOrder(kind, Match(method=method, path=path), **more))

    def captured(self) -> list[str]:
        """Return the ids of the orders whose money was taken."""
        return [
            order.id
            for order in self.sandbox.orders.values()
            if any(each["status"] in ("COMPLETED", "PENDING") for each in order.captures)
        ]

    def requests(self) -> list[str]:
        """Return the requests that reached PayPal, oldest first, such as `POST capture 201`."""
        shown = []
        for entry in self.sandbox.log.entries:
            last = str(entry["path"]).rpartition("/")[2]
            what = last if last.islower() else "order"
            shown.append(f"{entry['method']} {what} {entry['status']}")
        return shown
