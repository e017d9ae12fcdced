"""A bench for the time after creation: events, the shop's listener, and crashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

from msgspec.structs import replace

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.stripe.events import payment_event
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.money_events import money_event
from payment_service.key_store.contract import KeyRecord, Order, Position, Selection, State
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.after_payment.capture import capture_order
from payment_service.payments.after_payment.refund import refund_order
from payment_service.payments.changes.orders import Orders
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.reconcile import Reconciler
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    RefundRequest,
    UpdateRequest,
)
from payment_service.payments.shop_events.outbox import Outbox
from sandbox import dashboard, lifecycle
from tests.support.flow_bench import BUDGET_SECONDS, FlowBench
from tests.support.sandbox_transport import SandboxTransport

T = TypeVar("T")


class Crash(BaseException):
    """The process crashes here; no code of ours catches it."""


class SteppedStore:
    """A memory store that reports a step before and after every operation."""

    def __init__(self, step: Callable[[str], None]) -> None:
        self._inner, self._step = MemoryStore(), step

    def claim(self, record: KeyRecord) -> KeyRecord:
        return self._stepped(lambda: self._inner.claim(record))

    def read(self, order: Order) -> KeyRecord | None:
        return self._stepped(lambda: self._inner.read(order))

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        return self._stepped(lambda: self._inner.replace(current, new))

    def forget(self, current: KeyRecord) -> bool:
        return self._stepped(lambda: self._inner.forget(current))

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        return self._stepped(lambda: self._inner.due(now, limit))

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        return self._inner.scan(state)

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        return self._stepped(lambda: self._inner.page(selection, limit, before))

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:
        return self._inner.unlisted(again=again)

    def ping(self) -> None:
        self._inner.ping()

    def close(self) -> None:
        self._inner.close()

    def _stepped(self, work: Callable[[], T]) -> T:
        self._step("store")
        done = work()
        self._step("stored")
        return done


class Shop:
    """The shop's listener: keeps the events it accepts; `down` makes it answer 500."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.tries = 0
        self.down = False

    def __call__(self, _: Order, body: bytes) -> int:
        self.tries += 1
        if self.down:
            return 500
        self.bodies.append(json.loads(body))
        return 200

    def told(self) -> dict[str, str]:
        """Return each event's type by its id, as a shop that drops duplicates sees them."""
        return {body["id"]: body["type"] for body in self.bodies}

    def types(self) -> list[str]:
        return list(self.told().values())


class AfterBench(FlowBench):
    """A flow bench that counts `steps`, and crashes at the step `crash_at`."""

    def __init__(self) -> None:
        self.steps, self.crash_at = 0, -1
        self.names: list[str] = []
        self.at_step: dict[int, Callable[[], object]] = {}
        super().__init__(SteppedStore(self._step))
        self.shop = Shop()
        gateway = self._gateway()
        self.context = replace(self.context, listened=lambda _: True, gateway=gateway)
        self.orders = Orders(self.context, livemode=False, budget_seconds=BUDGET_SECONDS)
        self.outbox = Outbox(
            self.records, self.shop, lambda: self.now, self.seen.append, lambda _, high: high
        )

    @classmethod
    def steps_of(
        cls, work: Callable[[Self], object], *given: Callable[[Self], object]
    ) -> list[str]:
        """Return the names of the steps of `work` on a new bench, after `given`."""
        bench = cls()
        for each in given:
            each(bench)
        bench.names = []
        work(bench)
        return bench.names

    def pay(self, intent_id: str) -> None:
        self._end(intent_id, lifecycle.succeed_now)

    def fail(self, intent_id: str) -> None:
        self._end(intent_id, lifecycle.fail_now)

    def send(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the sandbox without the service, as a dashboard does."""
        headers = {"Authorization": "Bearer sk_test_shop"}
        answer = self.sandbox.handle("POST", path, headers, urlencode(params).encode())
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json()
        return found

    def stray(self, order_id: str) -> str:
        """Create a stray: a PaymentIntent with the order's metadata that the record lacks."""
        params = {"amount": 1099, "currency": "usd", "metadata[order_id]": order_id}
        return str(self.send("/v1/payment_intents", params)["id"])

    def events(self, order_id: str = "A-1") -> list[dict[str, Any]]:
        return [
            event
            for books in self.sandbox.books.values()
            for event in books.ledger.events
            if event["data"]["object"]["metadata"].get("order_id") == order_id
        ]

    def apply(self, event: dict[str, Any]) -> str:
        return self.orders.apply(payment_event(event))

    def apply_all(self, order_id: str = "A-1") -> list[str]:
        return [self.apply(event) for event in self.events(order_id)]

    def money_events(self) -> list[dict[str, Any]]:
        """Return Stripe's events about refunds and disputes, oldest first."""
        books = self.sandbox.books.values()
        return [each for book in books for each in book.ledger.events if money_event(each)]

    def apply_money(self, event: dict[str, Any]) -> str | None:
        found = money_event(event)
        assert found
        return self.orders.apply_money(found, lambda _: True)

    def deliver_all(self) -> list[str]:
        """Deliver what is in the outboxes; return the types that the shop has heard of."""
        while self.deliver():
            pass
        return self.shop.types()

    def deliver(self) -> int:
        return sum(map(self.outbox.run, self.due()))

    def due(self) -> list[OrderRecord]:
        return self.records.due(self.now, 100, lambda _: True, lambda _: True)

    def update(self, amount: int, order_id: str = "A-1", **more: Any) -> Any:
        return self.orders.update(UpdateRequest(order_id=order_id, amount=amount, **more))

    def cancel(self, order_id: str = "A-1") -> Any:
        return self.orders.cancel(CancelRequest(order_id=order_id))

    def paid(self, amount: int = 1099, order_id: str = "A-1") -> str:
        """Create an order, pay it, and apply the events; return its PaymentIntent's id."""
        intent_id = self.ask(order_id, amount).intent.id
        self.act(intent_id, "confirm")
        self.apply_all(order_id)
        return intent_id

    def pay_with(self, intent_id: str, method: str) -> None:
        """Pay a PaymentIntent with one of the sandbox's payment methods."""
        params = {"payment_method": method, "return_url": "https://shop.example"}
        self.send(f"/v1/payment_intents/{intent_id}/confirm", params)

    def dispute(self, intent_id: str, **more: Any) -> dict[str, Any]:
        """Open a dispute, as the shopper's bank does."""
        found: dict[str, Any] = dashboard.dispute_intent(self.sandbox, intent_id, **more)
        return found

    def dispute_ends(self, dispute_id: str, verb: str) -> None:
        dashboard.change_dispute(self.sandbox, dispute_id, verb)

    def authorized(self, amount: int = 1099, order_id: str = "A-1") -> str:
        """Create an order that waits for its capture; return its PaymentIntent's id."""
        intent_id = self.ask(order_id, amount, capture_method="manual").intent.id
        self.act(intent_id, "confirm")
        self.apply_all(order_id)
        return intent_id

    def capture(self, amount: int | None = None, order_id: str = "A-1") -> Any:
        """Capture as a request of any process does; the clock of the bench bounds it."""
        request = CaptureRequest(order_id=order_id, amount_to_capture=amount)
        order = Order(livemode=False, client_id=None, order_id=order_id)
        deadline = Deadline.after(BUDGET_SECONDS, lambda: self.now)
        return capture_order(self.context, order, request, deadline)

    def refund(self, refund_id: str = "R-1", amount: int | None = None, **more: Any) -> Any:
        """Refund as a request of any process does; the clock of the bench bounds it."""
        given = {"order_id": "A-1", "refund_id": refund_id, "amount": amount, **more}
        request = RefundRequest(**given)
        order = Order(livemode=False, client_id=None, order_id=request.order_id)
        deadline = Deadline.after(BUDGET_SECONDS, lambda: self.now)
        return refund_order(self.context, order, request, deadline)

    def refunds(self) -> list[dict[str, Any]]:
        """Return every refund at Stripe, oldest first."""
        books = self.sandbox.books.values()
        made = [each for book in books for each in book.ledger.refunds.newest_first()]
        return made[::-1]

    def refunded(self) -> int:
        """Return what the shopper has got back, or is about to."""
        return sum(
            each["amount"]
            for each in self.refunds()
            if each["status"] not in ("failed", "canceled")
        )

    def lose(self) -> None:
        """Lose the record of the order A-1."""
        held = self.store.read(Order(livemode=False, client_id=None, order_id="A-1"))
        assert held is None or self.store.forget(held)

    def reconcile(
        self, *, dry_run: bool = False, restored: bool = False, days: float = 7
    ) -> dict[str, Any]:
        run = Reconciler(
            self.context,
            livemode=False,
            budget_seconds=BUDGET_SECONDS,
            dry_run=dry_run,
            restored=restored,
        )
        for _ in run.steps(self.now - days * 86_400):
            pass
        return {name: count for name, count in run.tally.shown().items() if count}

    def crashing(self, step: int, work: Callable[[], object]) -> bool:
        """Run `work`, crash at its `step`-th step, and return whether it got that far."""
        self.steps, self.crash_at, self.names = 0, step, []
        try:
            work()
        except Crash:
            return True
        finally:
            self.crash_at = -1
        return False

    def crash(self, step: int, work: Callable[[], object]) -> None:
        """Run `work`, and crash at its `step`-th step; fail if it ends before."""
        assert self.crashing(step, work), f"no step {step}: {self.names}"

    @contextmanager
    def meanwhile(
        self, step: int, other: Callable[[], object], *, required: bool = True
    ) -> Iterator[None]:
        """Call `other` at the block's `step`-th step; fail if it ends before, unless optional."""
        self.steps, self.names, self.at_step = 0, [], {step: other}
        try:
            yield
        finally:
            missed, self.at_step = self.at_step, {}
            assert not (missed and required), f"no step {step}: {self.names}"

    def _step(self, what: str) -> None:
        self.names.append(what)
        step, self.steps = self.steps, self.steps + 1
        if step == self.crash_at:
            raise Crash
        other = self.at_step.pop(step, None)
        if other:
            other()

    def _gateway(self) -> StripeGateway:
        return StripeGateway(
            "sk_test_shop",
            SandboxTransport(self.sandbox, self._step),
            policy=RetryPolicy(sleep=self.sleep, uniform=lambda _, high: high),
            clock=lambda: self.now,
        )

    def _end(self, intent_id: str, end: Any) -> None:
        for account, books in self.sandbox.books.items():
            if intent_id in books.ledger.records:
                moment = self.sandbox.moment(account)
                end(moment, books.ledger.get(intent_id), lifecycle.UNDER_WAY)
