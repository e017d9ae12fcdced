"""Two services with two workers each on one store, many clients, and random failures."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from requests import RequestException, Session

from payment_service.key_store import open_key_store
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.payments.record.transitions import LATE_LOOK_UPS_AFTER_SECONDS
from payment_service.payments.recovery.late_intents import CLAIM_SECONDS
from tests.proof.chaos_stores import ChaosStore
from tests.proof.refund_chaos import Refunds
from tests.proof.tally import Tally
from tests.support.aging import order_of
from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess

# Small, so that requests that wait for a killed worker's lease end within the run.
BUDGET_SECONDS = 3
LOCK_SECONDS = BUDGET_SECONDS + 10

SETTINGS = {
    "REQUEST_BUDGET_SECONDS": str(BUDGET_SECONDS),
    "STRIPE_READ_TIMEOUT_SECONDS": "1",
    "LOG_LEVEL": "ERROR",
}

CREATION = {"method": "POST", "path": "/v1/payment_intents$"}
ANY: dict[str, str] = {}

# Kind of fault, matching requests, rate per thousand, and other options of the sandbox.
Fault = tuple[str, dict[str, str], int, dict[str, Any]]

FAULTS: tuple[Fault, ...] = (
    ("lost_before", ANY, 40, {}),
    ("lost_after", CREATION, 80, {}),
    ("cut_body", ANY, 40, {}),
    ("slow", CREATION, 80, {"seconds": 0.5}),
    ("hang", CREATION, 20, {"seconds": 2}),
    ("error_500_with_object", CREATION, 60, {}),
    ("error_500_without_object", CREATION, 60, {}),
    ("late_object", CREATION, 20, {"seconds": 0.5}),
    ("error_503", ANY, 40, {}),
    ("rate_limited", ANY, 40, {"retry_after": 0.2}),
    ("lock_timeout", CREATION, 20, {"retry_after": 0.2}),
    ("key_in_use", CREATION, 40, {}),
    ("unauthorized", CREATION, 10, {}),
    ("html", ANY, 20, {}),
    ("request_timeout_408", ANY, 10, {}),
    ("misdirected_421", ANY, 10, {}),
    ("too_early_425", ANY, 10, {}),
    ("empty_object", CREATION, 20, {}),
)

# A PaymentIntent that appears after a 500 is a stray until a look-up finds it. A killed process can
# interrupt the first look-up, and then a later one finds it.
MOST_LOOK_SECONDS = LATE_LOOK_UPS_AFTER_SECONDS[0] + CLAIM_SECONDS + 5.0

# Stripe's search lag in seconds; each run draws one of them.
SEARCH_LAGS_SECONDS = (0.0, 60.0, 3600.0)

# Number of the newest orders whose last writes a failover may lose.
RECENT = 12

# The service's clock must stay within the one hour of skew that the rules allow.
MOST_CLOCK_MOVES_SECONDS = 1800.0


@dataclass
class Order:
    """The responses that the clients of one order received."""

    order_id: str
    given: list[str] = field(default_factory=list)
    clients: int = 0
    answered: int = 0


class Chaos:
    """Runs clients during failures, then ends the failures and counts."""

    def __init__(
        self,
        store: ChaosStore,
        *,
        seed: int = 1,
        clients: int = 3,
        forgetful: bool = False,
        search_lag_seconds: float | None = None,
        refunds: bool = False,
        only_store: bool = False,
    ) -> None:
        """`forgetful`: the store loses records or reverts them, as in a failover.

        `refunds`: clients pay the orders and refund them, too. `only_store`: nothing else fails.
        """
        self._with_refunds, self._only_store = refunds, only_store
        self._store, self._clients, self._forgetful = store, clients, forgetful
        self._search_lag_seconds = search_lag_seconds
        self._older: dict[str, KeyRecord] = {}
        self._dice = random.Random(seed)
        self._orders: list[Order] = []
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._over = threading.Event()
        self.tally = Tally(store.keeps and not forgetful)

    def __enter__(self) -> Self:
        self.sandbox = self._stack.enter_context(SandboxProcess())
        lag = self._search_lag_seconds
        lag = self._dice.choice(SEARCH_LAGS_SECONDS) if lag is None else lag
        self.sandbox.rules(search_lag_seconds=lag)
        self.tally.counts[f"search lags, seconds: {lag:.0f}"] += 1
        self._url = self._store.new_url()
        self.refunds = Refunds(self.sandbox, self._url) if self._with_refunds else None
        environ = {**SETTINGS, "KEY_STORE_URL": self._url, **self._more_settings()}
        self.services = [
            self._stack.enter_context(ServiceProcess(self.sandbox.url, environ)) for _ in range(2)
        ]
        return self

    def _more_settings(self) -> Mapping[str, str | None]:
        return {}

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, seconds: float, threads: int = 12) -> Tally:
        """Run clients and failures for `seconds`, then count."""
        ends_at = time.monotonic() + seconds
        if not self._only_store:
            self._order_faults()
        with self._beside(*self._troubles()):
            self._shop(threads, lambda: time.monotonic() < ends_at)
        self._end_faults()
        self._finish_all(threads)
        return self._count()

    def story_of(self, order_id: str) -> list[str]:
        """Return Stripe's objects, the clients' responses and the log lines of an order."""
        lines = [
            str(each) for each in self.sandbox.state().raw["orders"] if each["order_id"] == order_id
        ]
        lines += [f"given: {each.given}" for each in self._orders if each.order_id == order_id]
        logs = [line for service in self.services for line in service.log().splitlines()]
        return lines + [line for line in logs if f'"{order_id}"' in line]

    # The clients.

    def _shop(self, threads: int, open_: Callable[[], bool]) -> None:
        team = [threading.Thread(target=self._client, args=(open_,)) for _ in range(threads)]
        for each in team:
            each.start()
        for each in team:
            each.join()

    def _client(self, open_: Callable[[], bool]) -> None:
        with Session() as session:
            while open_():
                order = self._some_order()
                if self._ask(session, order):
                    self._ask(session, order)
                    self._go_on(session, order)

    def _some_order(self) -> Order:
        """Return an order that other clients are requesting, or a new one."""
        with self._lock:
            if not self._orders or self._orders[-1].clients >= self._clients:
                self._orders.append(Order(f"chaos-{len(self._orders)}"))
            order = self._orders[-1]
            order.clients += 1
            return order

    def _go_on(self, session: Session, order: Order) -> None:
        """Do what the clients of an order do after its answer."""
        if self.refunds is not None:
            url, intent_id = random.choice(self.services).url, order.given[-1]
            self.refunds.pay_and_refund(session, url, order.order_id, intent_id)

    def _ask(self, session: Session, order: Order, patience: float = 2.0) -> bool:
        """Send the same request until it is answered."""
        gives_up_at = time.monotonic() + patience
        while time.monotonic() < gives_up_at:
            if self._ask_once(session, order):
                return True
            time.sleep(0.2)
        return False

    def _ask_once(self, session: Session, order: Order) -> bool:
        started = time.monotonic()
        service = random.choice(self.services)
        body = {"amount": 1099, "order_id": order.order_id, **self._more_fields()}
        try:
            answer = session.post(f"{service.url}/create-payment-intent", json=body, timeout=30)
            found = answer.json()
            told = str(answer.status_code)
            if told == "500":
                # A key that Stripe rejects, or an error of ours.
                told += f" {found['code']}"
        except (RequestException, ValueError):
            told, found = "no answer: its worker was killed", {}
        with self._lock:
            self.tally.counts[f"answers: {told}"] += 1
            lasted = time.monotonic() - started
            self.tally.longest_seconds = max(self.tally.longest_seconds, lasted)
            if told != "200":
                return False
            order.given.append(found["payment_intent_id"])
            order.answered += 1
            return True

    def _more_fields(self) -> Mapping[str, Any]:
        return {}

    def _finish_all(self, threads: int) -> None:
        """Without failures, retry each order that waits for a lock until it has its answer."""
        waiting = list(self._orders)

        def finish() -> None:
            with Session() as session:
                while True:
                    with self._lock:
                        if not waiting:
                            return
                        order = waiting.pop()
                    order.answered = 0
                    self._ask(session, order, patience=3 * LOCK_SECONDS)

        team = [threading.Thread(target=finish) for _ in range(threads)]
        for each in team:
            each.start()
        for each in team:
            each.join()

    # The failures.

    def _order_faults(self) -> None:
        of_refunds = self.refunds.faults(self._dice) if self.refunds else []
        self.sandbox.faults(orders_of(FAULTS, self._dice) + of_refunds)

    def _end_faults(self) -> None:
        self.sandbox.clear_faults()

    def _troubles(self) -> tuple[Callable[[], None], ...]:
        """Return the functions that run in threads of their own while the clients ask."""
        return (self._make_trouble,)

    @contextmanager
    def _beside(self, *works: Callable[[], None]) -> Iterator[None]:
        team = [threading.Thread(target=work) for work in works]
        for each in team:
            each.start()
        try:
            yield
        finally:
            self._over.set()
            for each in team:
                each.join()

    def _make_trouble(self) -> None:
        moved = 0.0
        while not self._over.wait(self._dice.uniform(0.5, 2.0)):
            if self._forgetful:
                self._forget()
            what = self._next_trouble()
            if what == "clock moves" and moved < MOST_CLOCK_MOVES_SECONDS:
                ahead = self._dice.uniform(1, 120)
                self._advance(ahead)
                moved += ahead
            elif what == self._store.trouble:
                self._store.fail()
            elif what == "kill -9 of a service":
                service = self._dice.choice(self.services)
                service.kill()
                service.start()
            else:
                what = "kill -9 of a worker"
                if not self._kill_a_worker():
                    continue
            self._count_trouble(what)

    def _advance(self, seconds: float) -> None:
        self.sandbox.advance(seconds)

    def _next_trouble(self) -> str:
        store = self._store
        first = store.fails_over and not self.tally.counts[f"trouble: {store.trouble}"]
        if self._only_store or first:
            return store.trouble
        return self._dice.choices(
            ("kill -9 of a worker", "kill -9 of a service", store.trouble, "clock moves"),
            (8, 1, store.weight, 3),
        )[0]

    def _forget(self) -> None:
        """Delete the newest orders' records, or revert them to earlier versions."""
        with self._lock:
            recent = [order_of(each.order_id) for each in self._orders[-RECENT:]]
        store = open_key_store(self._url)
        try:
            for order in recent:
                held, older = store.read(order), self._older.get(order.order_id)
                if held is None:
                    continue
                if self._dice.random() < 0.5 and store.forget(held):
                    gone_back = older is not None and store.claim(older) == older
                    self._count_trouble(f"a record {'goes back' if gone_back else 'is lost'}")
                self._older.setdefault(order.order_id, held)
        except StoreUnavailable:
            pass
        finally:
            store.close()

    def _count_trouble(self, what: str) -> None:
        with self._lock:
            self.tally.counts[f"trouble: {what}"] += 1

    def _kill_a_worker(self) -> bool:
        service = self._dice.choice(self.services)
        workers = service.workers()
        if not workers:
            return False
        service.kill_a_worker(self._dice.randrange(len(workers)))
        return True

    # The count.

    def _count(self) -> Tally:
        tally = self.tally
        if self.refunds is not None:
            time.sleep(BUDGET_SECONDS)
            tally.refunds_left = self.refunds.finish(lambda: random.choice(self.services).url)
            tally.refunded_twice = self.refunds.twice()
            tally.counts += self.refunds.counts
        tally.orders = len(self._orders)
        for kind, fired in self.sandbox.fired().items():
            tally.counts[f"fault: {kind}"] = fired
        payable = self._payable()
        for order in self._orders:
            if len(set(order.given) & payable[order.order_id]) > 1:
                tally.two_given.append(order.order_id)
            if not order.answered:
                tally.unanswered.append(order.order_id)
        tally.strays = _of_two(payable)
        tally.two_payable = self._after_looks() if tally.strays else []
        return tally

    def _after_looks(self) -> list[str]:
        """Return the orders with two payable PaymentIntents after all look-ups."""
        ends_at = time.monotonic() + MOST_LOOK_SECONDS
        while (left := _of_two(self._payable())) and time.monotonic() < ends_at:
            time.sleep(1.0)
        return left

    def _payable(self) -> dict[str, set[str]]:
        """Return the payable and paid PaymentIntents of each order at Stripe."""
        found: dict[str, set[str]] = {order.order_id: set() for order in self._orders}
        for order in self.sandbox.state().raw["orders"]:
            found[order["order_id"]] = {
                made["id"] for made in order["payment_intents"] if made["status"] != "canceled"
            }
        return found


def orders_of(faults: Iterable[Fault], dice: random.Random) -> list[dict[str, Any]]:
    """Return faults as the sandbox takes them."""
    return [
        {
            "kind": kind,
            "match": match,
            "count": None,
            "probability": per_mille / 1000,
            "seed": dice.randrange(10**6),
            **more,
        }
        for kind, match, per_mille, more in faults
    ]


def _of_two(payable: dict[str, set[str]]) -> list[str]:
    return [order_id for order_id, ids in payable.items() if len(ids) > 1]
