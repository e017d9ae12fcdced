"""Many clients that create orders on shared stores, through the payment flow, during failures."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from payment_service.errors import PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.http_client.connection import Response
from payment_service.key_store import open_key_store
from payment_service.key_store.contract import KeyStore, Order
from payment_service.payments.context import Context, Timing
from payment_service.payments.creation.create import create_once
from payment_service.payments.record.records import Records
from payment_service.payments.record.transitions import Wanted
from sandbox.core import Sandbox
from tests.support.key_stores import TIMEOUT_SECONDS
from tests.support.sandbox_in_process import INTENTS
from tests.support.sandbox_transport import SandboxTransport

# Two store operations must fit in, as the settings require.
BUDGET_SECONDS = 8.0
LOCK_SECONDS = 10.0

CLIENTS = 16

# A client asks again this long after an error, and gives up after that.
PAUSE_SECONDS, PATIENCE_SECONDS = 0.05, 90.0


class OrderLoad:
    """Two services on one store, in front of one sandbox, all in this process.

    `given` has the PaymentIntents that the clients of each order got; `errors` counts the codes.
    """

    def __init__(self, url: str) -> None:
        self.given: dict[str, set[str]] = {}
        self.errors: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._sandbox = Sandbox(time.time, seed=1)
        self._stores = [open_key_store(url, timeout_seconds=TIMEOUT_SECONDS) for _ in range(2)]
        self._services = [self._service(store) for store in self._stores]

    def run(self, orders: int, halfway: Callable[[], object]) -> None:
        """Create the orders; call `halfway` in the middle of the traffic."""
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            ids = [f"A-{number}" for number in range(orders)]
            done: list[Future[Any]] = [
                pool.submit(self.create, each) for each in ids[: orders // 2]
            ]
            done.append(pool.submit(halfway))
            done += [pool.submit(self.create, each) for each in ids[orders // 2 :]]
            for each in done:
                each.result(300)

    def replay(self) -> None:
        """Ask for every order again, at the other service."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda each: self.create(each, 1), list(self.given)))

    def create(self, order_id: str, service: int = 0) -> None:
        """Ask until the order is answered."""
        end = time.monotonic() + PATIENCE_SECONDS
        service += int(order_id.partition("-")[2])
        while True:
            try:
                made = create_once(
                    self._services[service % 2], _wanted(order_id), Deadline.after(BUDGET_SECONDS)
                )
            except PaymentError as failed:
                with self._lock:
                    self.errors[failed.code] += 1
                assert time.monotonic() < end, order_id
                time.sleep(PAUSE_SECONDS)
                service += 1
            else:
                with self._lock:
                    self.given.setdefault(order_id, set()).add(made.intent.id)
                return

    def two_payable(self) -> list[str]:
        """Return the orders with more than one PaymentIntent that can be paid."""
        payable: Counter[str] = Counter()
        for each in self._all_intents():
            if each["status"] != "canceled":
                payable[each["metadata"]["order_id"]] += 1
        return [order_id for order_id, count in payable.items() if count > 1]

    def close(self) -> None:
        for store in self._stores:
            store.close()

    def _all_intents(self) -> Iterator[dict[str, Any]]:
        after = ""
        while True:
            path = f"{INTENTS}?limit=100{after}"
            page = self._sandbox.handle("GET", path, {"Authorization": "Bearer sk_test_shop"})
            found = page.json()
            yield from found["data"]
            if not found["has_more"]:
                return
            after = f"&starting_after={found['data'][-1]['id']}"

    def _service(self, store: KeyStore) -> Context:
        gateway = StripeGateway(
            "sk_test_shop",
            _Serialized(self._sandbox),
            policy=RetryPolicy(sleep=time.sleep, uniform=lambda _, high: high),
            clock=time.time,
        )
        timing = Timing(lock=LOCK_SECONDS, store=TIMEOUT_SECONDS)
        return Context(Records(store), gateway, timing, clock=time.time, sleep=time.sleep)


class _Serialized(SandboxTransport):
    """The sandbox serves one request at a time."""

    _turn = threading.Lock()

    def send(self, *given: Any, **more: Any) -> Response:
        with self._turn:
            return super().send(*given, **more)


@contextmanager
def order_load(url: str) -> Iterator[OrderLoad]:
    load = OrderLoad(url)
    try:
        yield load
    finally:
        load.close()


def _wanted(order_id: str) -> Wanted:
    params = {"amount": 1099, "currency": "usd", "metadata": {"order_id": order_id}}
    sent = SentParams("2026-10-28.endive", params)
    return Wanted(Order(livemode=False, client_id=None, order_id=order_id), "print", sent)
