"""Latency that the service adds to PayPal's own while Stripe is silent and its circuit is open.

Twenty orders per second. One order per second and worker is a probe, which waits for Stripe's
share of the time, so read the median.
"""

from __future__ import annotations

import base64
import json
import socket
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from benchmarks.running import paypal_stand_in, running
from benchmarks.servers import (
    PAYPAL,
    PAYPAL_PORT,
    PORT,
    STRIPE_PORT,
    WORKERS,
    Server,
    with_paypal,
)
from benchmarks.steady import latencies, post

RATE = 20
PAYPAL_SECONDS = 0.1

# More than enough failures at once to open the circuit of each worker.
OPENING = 16 * WORKERS


@dataclass(frozen=True, slots=True)
class Switched:
    """Medians in milliseconds: PayPal's own answer, ours, and the difference."""

    server: str
    direct_p50: float
    through_p50: float

    @property
    def added_p50(self) -> float:
        """The time that the service adds."""
        return self.through_p50 - self.direct_p50


def measure(server: Server, seconds: int) -> Switched:
    """Measure PayPal alone, then with the service in front and Stripe's circuit open.

    Raises RuntimeError if an order is answered with an error, or does not reach PayPal.
    """
    with paypal_stand_in(PAYPAL_SECONDS):
        direct = latencies(PAYPAL_PORT, _to_paypal(_token()), seconds, RATE)
        with _silent_stripe(), running(with_paypal(server)):
            _open_circuits()
            before = _orders_at_paypal()
            through = latencies(PORT, _to_us, seconds, RATE)
            if _orders_at_paypal() - before < len(through):
                raise RuntimeError(f"{server.name}: an order did not reach PayPal")
    return Switched(server.name, median(direct), median(through))


def table(found: Sequence[Switched]) -> str:
    """Return a Markdown table."""
    lines = [
        f"## Stripe silent, its circuit open: {RATE} new orders a second at PayPal, which answers "
        f"in {PAYPAL_SECONDS * 1000:.0f} ms",
        "",
        "| server | PayPal alone p50 ms | through the service p50 ms | added p50 ms |",
        "|---|---:|---:|---:|",
        *(
            f"| {each.server} | {each.direct_p50:.1f} | {each.through_p50:.1f} "
            f"| {each.added_p50:.1f} |"
            for each in found
        ),
        "",
    ]
    return "\n".join(lines)


def _silent_stripe() -> socket.socket:
    """The kernel accepts the connections, and no process reads from them."""
    return socket.create_server(("127.0.0.1", STRIPE_PORT), backlog=1024)


def _open_circuits() -> None:
    """Let orders fail at Stripe; they go to PayPal after Stripe's share of the time."""
    with ThreadPoolExecutor(OPENING) as pool:
        list(pool.map(lambda _: latencies(PORT, _to_us, 1, 1), range(OPENING)))


def _to_us() -> bytes:
    order = {"amount": 1099, "order_id": uuid.uuid4().hex, "accept_gateways": ["stripe", "paypal"]}
    return post("/create-payment-intent", "application/json", json.dumps(order))


def _to_paypal(token: str) -> Callable[[], bytes]:
    unit = {"custom_id": "A-1", "amount": {"currency_code": "USD", "value": "10.99"}}
    context = {"return_url": "https://shop.invalid/paid", "cancel_url": "https://shop.invalid/cart"}
    body = {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }

    def request() -> bytes:
        headers = f"Authorization: Bearer {token}\r\nPayPal-Request-Id: {uuid.uuid4().hex}\r\n"
        return post("/v2/checkout/orders", "application/json", json.dumps(body), headers)

    return request


def _token() -> str:
    basic = base64.b64encode(b"app-1:secret").decode()
    asked = urllib.request.Request(
        f"{PAYPAL}/v1/oauth2/token",
        b"grant_type=client_credentials",
        {"Authorization": f"Basic {basic}"},
    )
    with urllib.request.urlopen(asked) as answer:
        return str(json.load(answer)["access_token"])


def _orders_at_paypal() -> int:
    with urllib.request.urlopen(f"{PAYPAL}/_sandbox/state") as answer:
        return sum(map(len, json.load(answer)["orders"].values()))
