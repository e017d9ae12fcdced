"""A fake Stripe with minimal CPU cost: it creates and returns PaymentIntents, after a delay.

It implements just enough HTTP for Stripe's SDKs, so that a benchmark measures its clients. The
sandbox is the one that behaves like Stripe.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import time
from typing import cast
from urllib.parse import parse_qsl

import uvloop

# The response to a creation, as large as Stripe's.
INTENT = {
    "id": "%ID%",
    "object": "payment_intent",
    "amount": "%AMOUNT%",
    "amount_capturable": 0,
    "amount_details": {"tip": {}},
    "amount_received": 0,
    "application": None,
    "application_fee_amount": None,
    "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
    "canceled_at": None,
    "cancellation_reason": None,
    "capture_method": "automatic_async",
    "client_secret": "%ID%_secret_%SECRET%",
    "confirmation_method": "automatic",
    "created": "%CREATED%",
    "currency": "%CURRENCY%",
    "customer": None,
    "description": None,
    "last_payment_error": None,
    "latest_charge": None,
    "livemode": False,
    "metadata": "%METADATA%",
    "next_action": None,
    "on_behalf_of": None,
    "payment_method": None,
    "payment_method_configuration_details": {
        "id": "pmc_1Pc8JqLkdIwHu7ixYzAbCdEf",
        "parent": None,
    },
    "payment_method_options": {
        "amazon_pay": {"express_checkout_element_session_id": None},
        "card": {
            "installments": None,
            "mandate_options": None,
            "network": None,
            "request_three_d_secure": "automatic",
        },
        "cashapp": {},
        "klarna": {"preferred_locale": None},
        "link": {"persistent_token": None},
    },
    "payment_method_types": ["card", "cashapp", "klarna", "link", "amazon_pay"],
    "processing": None,
    "receipt_email": None,
    "review": None,
    "setup_future_usage": None,
    "shipping": None,
    "source": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "status": "requires_payment_method",
    "transfer_data": None,
    "transfer_group": None,
}

TEXT = json.dumps(INTENT, indent=2)
for quoted in ("AMOUNT", "CREATED", "METADATA"):
    TEXT = TEXT.replace(f'"%{quoted}%"', f"%{quoted}%")

# The text between the values, and the value that follows each piece except the last.
PIECES = re.split("%[A-Z]+%", TEXT)
VALUES = re.findall("%([A-Z]+)%", TEXT)


class PaymentIntents:
    """PaymentIntents as JSON, by id and by idempotency key."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, bytes] = {}
        self.made: dict[str, bytes] = {}

    def create(self, key: bytes, form: bytes) -> tuple[bytes, bool]:
        """Return the PaymentIntent of a key, and whether it existed before."""
        known = self.by_key.get(key)
        if known is not None:
            return known, True
        name = f"pi_3Q{len(self.made):022d}"
        options = dict(parse_qsl(form.decode()))
        metadata = {k[9:-1]: v for k, v in options.items() if k.startswith("metadata[")}
        values = {
            "ID": name,
            "SECRET": f"{random.getrandbits(128):032x}",
            "AMOUNT": options["amount"],
            "CURRENCY": options["currency"],
            "METADATA": json.dumps(metadata),
            "CREATED": str(int(time.time())),
        }
        between = [piece + values[each] for piece, each in zip(PIECES, VALUES, strict=False)]
        shown = self.made[name] = ("".join(between) + PIECES[-1]).encode()
        if key:
            self.by_key[key] = shown
        return shown, False


class Stripe(asyncio.Protocol):
    """One connection, with one request at a time, as the SDKs use it."""

    intents = PaymentIntents()
    seconds = 0.0
    slow_every = 0
    slow_seconds = 0.0
    served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = int(_header(head, b"content-length") or 0)
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        """Build the response now, and send it after the delay."""
        method, path, _ = head.split(b"\r\n", 1)[0].split(b" ")
        replayed = False
        if method == b"POST" and path == b"/v1/payment_intents":
            content, replayed = self.intents.create(_header(head, b"idempotency-key"), body)
        elif path == b"/healthz":
            content = b"{}"
        else:
            content = self.intents.made[path.rpartition(b"/")[2].partition(b"?")[0].decode()]
        Stripe.served += 1
        text = b"".join(
            (
                b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\n",
                b"Request-Id: req_%d\r\n" % Stripe.served,
                b"Idempotent-Replayed: true\r\n" if replayed else b"",
                b"Stripe-Version: 2026-10-28\r\nVary: Origin\r\n",
                b"Cache-Control: no-cache, no-store\r\nContent-Length: %d\r\n\r\n" % len(content),
                content,
            )
        )
        slow = self.slow_every and Stripe.served % self.slow_every == 0
        wait = self.slow_seconds if slow else self.seconds
        if wait:
            asyncio.get_running_loop().call_later(wait, self.transport.write, text)
        else:
            self.transport.write(text)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name + b":")
    return b"" if at < 0 else head[at + len(name) + 3 :].split(b"\r\n", 1)[0].strip()


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.add_signal_handler(signal.SIGTERM, over.set_result, None)
    server = await loop.create_server(Stripe, "127.0.0.1", port, backlog=4096)
    print(f"fake Stripe on http://127.0.0.1:{port}", flush=True)
    await over
    server.close()


def main() -> None:
    """Parse the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=12112)
    parser.add_argument("--seconds", type=float, default=0.0, help="delay of each response")
    parser.add_argument("--slow-every", type=int, default=0, help="make every n-th response slow")
    parser.add_argument("--slow-seconds", type=float, default=8.0)
    options = parser.parse_args()
    Stripe.seconds, Stripe.slow_every = options.seconds, options.slow_every
    Stripe.slow_seconds = options.slow_seconds
    uvloop.run(serve(options.port))


if __name__ == "__main__":
    main()
