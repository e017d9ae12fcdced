"""Webhook deliveries: signed, and on request repeated, late, out of order or dropped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from tests.support.sandbox_process import WEBHOOK_SECRET, SandboxProcess

INTENTS = "/v1/payment_intents"
ORDER = {"amount": "1099", "currency": "usd", "metadata[order_id]": "A-1"}


class Shop(ThreadingHTTPServer):
    """A webhook endpoint that records deliveries and returns the configured statuses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.received: list[tuple[bytes, str]] = []
        self.statuses: list[int] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/webhook"

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload, _ in self.received]

    def types(self) -> list[str]:
        return [event["type"].removeprefix("payment_intent.") for event in self.events()]


class _Recorder(BaseHTTPRequestHandler):
    server: Shop

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((payload, self.headers["Stripe-Signature"]))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def shop(sandbox: SandboxProcess) -> Iterator[Shop]:
    server = Shop()
    sandbox.webhooks(url=server.url)
    yield server
    sandbox.webhooks(url=None)
    server.shutdown()
    server.server_close()


def until(holds: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def pay(sandbox: SandboxProcess) -> str:
    intent = sandbox.send("POST", INTENTS, ORDER).json()["id"]
    sandbox.pay(intent)
    return str(intent)


def test_every_change_sends_a_signed_event(sandbox: SandboxProcess, shop: Shop) -> None:
    intent = pay(sandbox)
    until(lambda: len(shop.received) == 2)
    assert shop.types() == ["created", "succeeded"]
    for payload, signed in shop.received:
        event = stripe.Webhook.construct_event(payload, signed, WEBHOOK_SECRET)
        assert event.data.object["id"] == intent
    assert shop.events()[0]["data"]["object"]["status"] == "requires_payment_method"


def test_refunds_and_disputes_send_signed_events(sandbox: SandboxProcess, shop: Shop) -> None:
    intent = pay(sandbox)
    refund = sandbox.refund(intent, amount=99)
    sandbox.change("refunds", refund["id"], "fail", reason="declined")
    dispute = sandbox.dispute(intent)
    for verb in ("review", "lose"):
        sandbox.change("disputes", dispute["id"], verb)
    sent = {
        "refund.created": refund["id"],
        "charge.refunded": refund["charge"],
        "refund.updated": refund["id"],
        "refund.failed": refund["id"],
        "charge.dispute.created": dispute["id"],
        "charge.dispute.funds_withdrawn": dispute["id"],
        "charge.dispute.updated": dispute["id"],
        "charge.dispute.closed": dispute["id"],
    }
    until(lambda: len(shop.received) == 2 + len(sent))
    assert shop.types()[2:] == list(sent)
    for payload, signed in shop.received[2:]:
        event = stripe.Webhook.construct_event(payload, signed, WEBHOOK_SECRET)
        assert event.data.object["id"] == sent[event.type]


def test_another_secret_does_not_verify(sandbox: SandboxProcess, shop: Shop) -> None:
    pay(sandbox)
    until(lambda: bool(shop.received))
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(*shop.received[0], "whsec_other")


def test_a_moved_clock_keeps_signatures_valid(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.advance(30 * 86_400)
    pay(sandbox)
    until(lambda: bool(shop.received))
    stripe.Webhook.construct_event(*shop.received[0], WEBHOOK_SECRET)


def test_a_failed_delivery_is_retried(sandbox: SandboxProcess, shop: Shop) -> None:
    shop.statuses = [500]
    sandbox.send("POST", INTENTS, ORDER)
    until(lambda: len(shop.received) == 2)
    assert len({event["id"] for event in shop.events()}) == 1
    until(lambda: len(sandbox.webhooks()["deliveries"]) == 2)
    assert [each["status"] for each in sandbox.webhooks()["deliveries"]] == [500, 200]


@pytest.mark.parametrize(("kind", "different_ids"), [("double", 1), ("twin", 2)])
def test_one_change_can_be_delivered_twice(
    sandbox: SandboxProcess, shop: Shop, kind: str, different_ids: int
) -> None:
    sandbox.webhooks(detours=[{"kind": kind, "type": "payment_intent.succeeded"}])
    pay(sandbox)
    until(lambda: len(shop.received) == 3)
    assert shop.types() == ["created", "succeeded", "succeeded"]
    ids = {event["id"] for event in shop.events()[1:]}
    assert len(ids) == different_ids


def test_events_can_be_delivered_out_of_order(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.webhooks(detours=[{"kind": "reorder"}])
    pay(sandbox)
    until(lambda: len(shop.received) == 2)
    assert shop.types() == ["succeeded", "created"]


def test_a_dropped_event_can_be_resent(sandbox: SandboxProcess, shop: Shop) -> None:
    sandbox.webhooks(detours=[{"kind": "drop", "type": "payment_intent.succeeded"}])
    pay(sandbox)
    until(lambda: len(shop.received) == 1)
    lost = sandbox.events()[-1]
    sandbox.control("POST", f"events/{lost['id']}/resend", {})
    until(lambda: len(shop.received) == 2)
    assert shop.events()[-1] == lost


def test_an_event_can_be_delayed(sandbox: SandboxProcess, shop: Shop) -> None:
    detour = {"kind": "delay", "type": "payment_intent.created", "seconds": 0.3}
    sandbox.webhooks(detours=[detour])
    pay(sandbox)
    until(lambda: len(shop.received) == 2)
    assert shop.types() == ["succeeded", "created"]


def test_a_late_debit_failure_sends_an_event(sandbox: SandboxProcess, shop: Shop) -> None:
    paying = {
        "confirm": "true",
        "payment_method": "pm_usBankAccount_insufficientFunds",
        "return_url": "https://shop.example/done",
    }
    sandbox.send("POST", INTENTS, {**ORDER, **paying})
    sandbox.advance(4 * 86_400)
    until(lambda: len(shop.received) == 3)
    assert shop.types() == ["created", "processing", "payment_failed"]


def test_an_unknown_detour_is_rejected(sandbox: SandboxProcess) -> None:
    with pytest.raises(AssertionError, match="kind must be"):
        sandbox.webhooks(detours=[{"kind": "vanish"}])


def test_the_secret_is_never_shown(sandbox: SandboxProcess) -> None:
    assert "whsec" not in json.dumps(sandbox.webhooks(url=None))
