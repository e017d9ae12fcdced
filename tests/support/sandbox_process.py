"""`python -m sandbox` as a process: start it, inspect it, and inject faults."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from requests import Response, Session

ROOT = Path(__file__).resolve().parents[2]

SECRET_KEY = "sk_test_sandbox"
PUBLISHABLE_KEY = "pk_test_sandbox"
WEBHOOK_SECRET = "whsec_sandbox"


@dataclass(frozen=True, slots=True)
class OrderState:
    """The sandbox's PaymentIntents of one order; `payable` counts those not canceled.

    `refunds` has the refunds of all of them: id, status, amount, payment_intent, metadata, created.
    """

    count: int
    payable: int
    ids: tuple[str, ...]
    statuses: tuple[str, ...]
    refunds: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxState:
    """A snapshot of the sandbox; `raw` is the complete JSON."""

    payment_intents: int
    payable: int
    raw: Mapping[str, Any]

    def order(self, order_id: str, client_id: str | None = None) -> OrderState:
        """Return the counts of an order; all are zero if it is unknown."""
        for order in self.raw["orders"]:
            if (order["order_id"], order["client_id"]) == (order_id, client_id):
                made = order["payment_intents"]
                ids, statuses = (tuple(each[name] for each in made) for name in ("id", "status"))
                refunds = tuple(order["refunds"])
                return OrderState(order["count"], order["payable"], ids, statuses, refunds)
        return OrderState(0, 0, (), ())

    def sends(self, request: str) -> int:
        """Count the requests that begin with, say, `POST /v1/payment_intents 200`."""
        counts: Mapping[str, int] = self.raw["requests"]
        return sum(count for name, count in counts.items() if f"{name} ".startswith(f"{request} "))


class SandboxProcess:
    """A sandbox on a free port; a context manager calls `start` and `close`."""

    module = "sandbox"

    def __init__(self, *options: str) -> None:
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self._session = Session()
        self.url = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id, for tests that stop or kill it."""
        assert self._process
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, "--port", "0", *self._options],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = self._address()
        return self

    def close(self) -> str:
        """End it with SIGTERM, and return its output after the greeting."""
        self._session.close()
        if self._process is None:
            return ""
        self._process.terminate()
        rest, _ = self._process.communicate(timeout=10)
        self._process = None
        return rest

    def state(self) -> SandboxState:
        """Return the counts of its PaymentIntents and requests."""
        raw = self.control("GET", "state")
        return SandboxState(raw["payment_intents"], raw["payable"], raw)

    def requests(self) -> list[dict[str, Any]]:
        """Return the last requests, oldest first."""
        found: list[dict[str, Any]] = self.control("GET", "requests")["requests"]
        return found

    def events(self) -> list[dict[str, Any]]:
        """Return every Event, oldest first."""
        found: list[dict[str, Any]] = self.control("GET", "events")["events"]
        return found

    def faults(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Order faults, e.g. `[{"kind": "lost_after", "match": {"method": "POST"}}]`."""
        self.control("POST", "faults", list(orders))

    def fired(self) -> dict[str, int]:
        """Return how often each kind of fault has occurred."""
        found: dict[str, int] = self.control("GET", "faults")["fired"]
        return found

    def clear_faults(self) -> None:
        """Remove the ordered faults."""
        self.control("DELETE", "faults")

    def advance(self, seconds: float) -> float:
        """Advance its clock, and return its new time."""
        now: float = self.control("POST", "clock", {"advance": seconds})["now"]
        return now

    def rules(self, **changes: float) -> dict[str, Any]:
        """Change a rule, such as search_lag_seconds or rate_limit, until the next reset."""
        found: dict[str, Any] = self.control("POST", "rules", changes)
        return found

    def reset(self) -> None:
        """Forget everything; the clock goes back to real time."""
        self.control("POST", "reset", {})

    def pay(self, intent_id: str) -> dict[str, Any]:
        """Pay a PaymentIntent, whatever its next action is."""
        return self.end(intent_id, "succeed")

    def fail(self, intent_id: str) -> dict[str, Any]:
        """Fail the payment of a PaymentIntent: back to requires_payment_method."""
        return self.end(intent_id, "fail")

    def end(self, intent_id: str, verb: str) -> dict[str, Any]:
        """End a payment by succeed, fail, complete_action or fail_action."""
        found: dict[str, Any] = self.control("POST", f"payment_intents/{intent_id}/{verb}", {})
        return found

    def delete(self, intent_id: str) -> dict[str, Any]:
        """Delete a PaymentIntent, as Stripe deletes test data."""
        return self.end(intent_id, "delete")

    def refund(self, intent_id: str, **given: Any) -> dict[str, Any]:
        """Refund a PaymentIntent as the Dashboard does: `amount`, `reason`, `metadata`."""
        found: dict[str, Any] = self.control("POST", f"payment_intents/{intent_id}/refund", given)
        return found

    def dispute(self, intent_id: str, **given: Any) -> dict[str, Any]:
        """Dispute a PaymentIntent as a bank does: `amount`, `reason`, `inquiry`."""
        found: dict[str, Any] = self.control("POST", f"payment_intents/{intent_id}/dispute", given)
        return found

    def change(self, kind: str, object_id: str, verb: str, **given: Any) -> dict[str, Any]:
        """Change one of `refunds` (succeed, fail, cancel) or `disputes` (review, win, lose)."""
        found: dict[str, Any] = self.control("POST", f"{kind}/{object_id}/{verb}", given)
        return found

    def webhooks(self, **changes: Any) -> dict[str, Any]:
        """Return the deliveries, or set `url`, `secret` and `detours`."""
        method = "POST" if changes else "GET"
        found: dict[str, Any] = self.control(method, "webhooks", changes or None)
        return found

    def control(self, method: str, path: str, given: Any = None) -> Any:
        """Call a control endpoint; a response other than 200 fails the test."""
        answer = self._session.request(
            method, f"{self.url}/_sandbox/{path}", json=given, timeout=10
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        api_key: str = SECRET_KEY,
        timeout: float = 10,
        **headers: str,
    ) -> Response:
        """Send one request as a bare HTTP client would, without any retry."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self._session.request(
            method,
            self.url + path,
            params=params if method == "GET" else None,
            data=params if method == "POST" else None,
            headers={"Authorization": f"Bearer {api_key}", **headers},
            timeout=timeout,
        )

    def _address(self) -> str:
        assert self._process
        assert self._process.stdout
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            found = re.search(r"http://\S+", line)
            if found:
                return found[0]
        raise RuntimeError(f"The sandbox did not start: {''.join(lines)}")
