"""Delivery of signed Events to the shop's webhook; late, twice or out of order on request."""

from __future__ import annotations

import heapq
import json
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.answers import JsonObject
from sandbox.events import signature

# Stripe retries for three days; half a minute is enough for a sandbox.
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
TIMEOUT_SECONDS = 10.0
KEPT = 1_000

DETOURS = ("double", "twin", "reorder", "drop", "delay")


@dataclass(frozen=True, slots=True)
class Detour:
    """A deviation from normal delivery for the next `count` events of a type.

    double: the same Event twice. twin: two Events for the same change. reorder: after the next
    Event. drop: never. delay: `seconds` later.
    """

    kind: str
    type: str = ""
    count: int = 1
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery attempt."""

    event: str
    type: str
    attempt: int
    status: int | None
    error: str | None = None


def parse_detour(given: dict[str, Any]) -> Detour:
    """Parse a detour from JSON; raise ValueError or TypeError."""
    detour = Detour(**given)
    if detour.kind not in DETOURS:
        raise ValueError(f"kind must be one of {', '.join(DETOURS)}")
    return detour


class WebhookSender:
    """Delivers events to one address, from its own thread."""

    def __init__(
        self,
        url: str | None = None,
        secret: str | None = None,
        headers_of: Callable[[bytes, str], dict[str, str]] | None = None,
        kind: str = "type",
    ) -> None:
        """`headers_of`: the headers that sign a body; Stripe's by default.

        `kind`: the field of an event that has its type.
        """
        self._headers_of, self._kind = headers_of or stripe_headers, kind
        self._first = self._url, self._secret = url, secret
        self._detours: list[list[Any]] = []
        self._held: list[JsonObject] = []
        self._waiting: list[tuple[float, int, int, JsonObject]] = []
        self._delivered: deque[Delivery] = deque(maxlen=KEPT)
        self._count = 0
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)

    def start(self) -> None:
        """Start the delivery thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the current delivery."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    def send_to(self, url: str | None, secret: str | None = None) -> None:
        """Change the address of future deliveries; None disables them."""
        with self._wake:
            self._url, self._secret = url, secret or self._secret

    def detour(self, *detours: Detour) -> None:
        """Add detours for future events."""
        with self._wake:
            self._detours += [[detour, detour.count] for detour in detours]

    def take(self, event: JsonObject) -> None:
        """Queue a new event for delivery, without blocking."""
        with self._wake:
            if self._url is None:
                return
            held, self._held = self._held, []
            self._dispatch(event)
            for earlier in held:
                self._queue(earlier)
            self._wake.notify()

    def resend(self, event: JsonObject) -> None:
        """Queue an event for another delivery."""
        with self._wake:
            self._queue(event)
            self._wake.notify()

    def reset(self) -> None:
        """Clear the queue and the history, and restore the initial address."""
        with self._wake:
            self._url, self._secret = self._first
            self._detours, self._held, self._waiting = [], [], []
            self._delivered.clear()

    def shown(self) -> JsonObject:
        """Return address, deliveries (oldest first) and queue length, without the secret."""
        with self._wake:
            return {
                "url": self._url,
                "deliveries": [asdict(delivery) for delivery in self._delivered],
                "waiting": len(self._waiting) + len(self._held),
            }

    def _dispatch(self, event: JsonObject) -> None:
        detour = self._next_detour(event[self._kind])
        match detour.kind if detour else None:
            case "double":
                self._queue(event)
                self._queue(event)
            case "twin":
                self._queue(event)
                self._queue({**event, "id": event["id"] + "Twin"})
            case "reorder":
                self._held.append(event)
            case "drop":
                pass
            case _:
                self._queue(event, detour.seconds if detour else 0.0)

    def _next_detour(self, kind: str) -> Detour | None:
        for standing in self._detours:
            detour, left = standing
            if left and kind.startswith(detour.type):
                standing[1] -= 1
                return detour  # type: ignore[no-any-return]
        return None

    def _queue(self, event: JsonObject, after: float = 0.0, attempt: int = 1) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (time.monotonic() + after, self._count, attempt, event))

    def _work(self) -> None:
        while (job := self._next()) is not None:
            attempt, event, url, secret = job
            delivery = self._deliver(event, attempt, url, secret)
            with self._wake:
                self._delivered.append(delivery)
                arrived = delivery.status is not None and 200 <= delivery.status < 300
                if not arrived and attempt <= len(RETRY_SECONDS):
                    self._queue(event, RETRY_SECONDS[attempt - 1], attempt + 1)

    def _deliver(self, event: JsonObject, attempt: int, url: str, secret: str) -> Delivery:
        payload = json.dumps(event, indent=2).encode()
        headers = self._headers_of(payload, secret)
        request = urllib.request.Request(url, payload, headers, method="POST")  # noqa: S310
        status, error = _post(request)
        return Delivery(event["id"], event[self._kind], attempt, status, error)

    def _next(self) -> tuple[int, JsonObject, str, str] | None:
        with self._wake:
            while not self._closed:
                wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    _, _, attempt, event = heapq.heappop(self._waiting)
                    if self._url:
                        return attempt, event, self._url, self._secret or ""
                    continue
                self._wake.wait(wait)
        return None


def stripe_headers(payload: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a delivery by Stripe."""
    # Real time, not sandbox time: the receiver compares it with its own clock.
    return {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signature(payload, secret, int(time.time())),
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    }


def _post(request: urllib.request.Request) -> tuple[int | None, str | None]:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return answer.status, None
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, None
    except OSError as unreachable:
        return None, str(unreachable)
