"""The refunds of a chaos run: clients pay orders, refund them many times, and count at the end."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from requests import RequestException, Session

from tests.support.aging import age
from tests.support.sandbox_process import SandboxProcess

AMOUNT = 1099

# Together they are more than the order's amount: one of the last two must be refused.
REFUNDS = {"R-1": 300, "R-2": 300, "R-3": 600}

# Answers that the same request gets again.
FINAL = ("200", "amount_too_large", "not_paid")

REFUND = {"method": "POST", "path": "/v1/refunds"}

# Kind of fault and rate per thousand.
FAULTS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("lost_after", 100, {}),
    ("lost_before", 60, {}),
    ("cut_body", 40, {}),
    ("slow", 80, {"seconds": 0.5}),
    ("hang", 20, {"seconds": 2}),
    ("error_500_with_object", 80, {}),
    ("error_500_without_object", 40, {}),
    ("late_object", 40, {"seconds": 5}),
    ("empty_object", 20, {}),
    ("key_in_use", 40, {}),
)

# Then a spent key is followed by the next one.
TWO_HOURS = 7200.0


@dataclass
class Refunds:
    """The answers to the refund requests of a run."""

    sandbox: SandboxProcess
    url: str
    counts: Counter[str] = field(default_factory=Counter)
    given: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    asked: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def faults(self, dice: random.Random) -> list[dict[str, Any]]:
        """Return the faults of refunds."""
        return [
            {
                "kind": kind,
                "match": REFUND,
                "count": None,
                "probability": per_mille / 1000,
                "seed": dice.randrange(10**6),
                **more,
            }
            for kind, per_mille, more in FAULTS
        ]

    def pay_and_refund(self, session: Session, url: str, order_id: str, intent_id: str) -> None:
        """Pay an order as its shopper, and ask for two of its refunds."""
        # Another client may have paid it.
        with suppress(AssertionError, RequestException):
            self.sandbox.pay(intent_id)
        for refund_id in random.sample(sorted(REFUNDS), 2):
            self.ask(session, url, order_id, refund_id)

    def ask(self, session: Session, url: str, order_id: str, refund_id: str) -> str:
        """Ask once; return the status, or the code of an error."""
        body = {"order_id": order_id, "refund_id": refund_id, "amount": REFUNDS[refund_id]}
        try:
            answer = session.post(f"{url}/refund-payment-intent", json=body, timeout=30)
            found = answer.json()
        except (RequestException, ValueError):
            found, answer = {"code": "no answer"}, None
        told = "200" if answer is not None and answer.status_code == 200 else str(found["code"])
        with self.lock:
            self.asked.add(order_id)
            self.counts[f"refunds: {told}"] += 1
            if told == "200":
                self.given[order_id, refund_id].add(found["stripe_refund_id"])
        return told

    def finish(self, url: Callable[[], str]) -> list[str]:
        """Ask for every refund again; return those without an answer, with the last response.

        The service may learn only from these requests that a key is spent, and then the refund
        waits for two hours once more.
        """
        left = self._all(url)
        for _ in range(3):
            for order_id in self.asked:
                age(self.url, order_id, TWO_HOURS)
            self.sandbox.advance(TWO_HOURS)
            left = self._all(url)
            if not left:
                break
        return left

    def twice(self) -> list[str]:
        """Return the refunds that Stripe made twice, and the orders with too many of them."""
        found = []
        for order in self.sandbox.state().raw["orders"]:
            made = [each for each in order["refunds"] if each["status"] == "succeeded"]
            names = Counter(each["metadata"]["refund_id"] for each in made)
            found += [f"{order['order_id']} {name}" for name, n in names.items() if n > 1]
            if sum(each["amount"] for each in made) > AMOUNT:
                found.append(f"{order['order_id']} exceeds its payment")
        found += [f"{named} has two ids" for named, ids in self.given.items() if len(ids) > 1]
        return found

    def _all(self, url: Callable[[], str]) -> list[str]:
        with Session() as session:
            told = [
                (order_id, refund_id, self.ask(session, url(), order_id, refund_id))
                for order_id in sorted(self.asked)
                for refund_id in REFUNDS
            ]
        return [" ".join(each) for each in told if each[-1] not in FINAL]
