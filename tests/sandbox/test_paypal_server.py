"""`python -m sandbox.paypal` over HTTP: the gateway, the shopper's page, faults and webhooks."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from payment_service.gateways.capture_outcome import Captured, CaptureUnclear, PayerNeeded
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Made, Unclear
from payment_service.gateways.paypal.certificates import Certificates
from payment_service.gateways.paypal.gateway import PayPalGateway
from payment_service.gateways.paypal.params import Pages
from payment_service.gateways.paypal.webhook import read_event
from payment_service.gateways.retry import RetryPolicy
from payment_service.http_client.client import HttpClient
from payment_service.key_store.contract import Order
from payment_service.schema.secret import Secret
from sandbox.paypal.command_line import run
from tests.support.paypal_params import order_params
from tests.support.paypal_process import WEBHOOK_ID, PayPalProcess

ORDERS = "/v2/checkout/orders"
PAGES = Pages("http://127.0.0.1:9/paid?order={order_id}", "http://127.0.0.1:9/cart")
SENT = order_params(
    Order(livemode=False, client_id=None, order_id="A-1"),
    {"amount": 1099, "currency": "usd"},
    PAGES,
)


@pytest.fixture(scope="module")
def process() -> Iterator[PayPalProcess]:
    with PayPalProcess() as started:
        yield started


@pytest.fixture
def paypal(process: PayPalProcess) -> PayPalProcess:
    process.reset()
    return process


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(connect_seconds=3, read_seconds=0.6, keep=4)
    yield client
    client.close()


@pytest.fixture
def gateway(paypal: PayPalProcess, http: HttpClient) -> PayPalGateway:
    policy = RetryPolicy(sleep=lambda _: time.sleep(0.3))
    return PayPalGateway(
        "app-1", Secret("secret"), http, PAGES, livemode=False, api_base=paypal.url, policy=policy
    )


def soon() -> Deadline:
    return Deadline.after(20)


def created(gateway: PayPalGateway, key: str = "key-1") -> Any:
    outcome = gateway.create(SENT, key, soon())
    assert isinstance(outcome, Made), outcome
    return outcome.intent


def press(page: str, choice: str) -> str:
    """Open the approval page, press a button, and return the address that follows."""
    shown = requests.get(page, timeout=10)
    assert shown.status_code == 200
    assert f'value="{choice}"' in shown.text
    address, _, query = page.partition("?")
    form = {"token": query.removeprefix("token="), "choice": choice}
    return requests.post(address, form, allow_redirects=False, timeout=10).headers["Location"]


def test_a_shopper_approves_and_the_service_captures(gateway: PayPalGateway) -> None:
    made = created(gateway)
    back = press(made.redirect_url, "approve")
    assert back.startswith(f"http://127.0.0.1:9/paid?order=A-1&token={made.id}&PayerID=")
    assert gateway.retrieve(made.id, SENT, soon()).status == "requires_capture"
    captured = gateway.capture(made.id, SENT, "capture-1", soon())
    assert isinstance(captured, Captured)
    assert captured.intent.status == "succeeded"


def test_a_shopper_with_a_declined_card_chooses_again(gateway: PayPalGateway) -> None:
    made = created(gateway)
    press(made.redirect_url, "decline")
    declined = gateway.capture(made.id, SENT, "capture-1", soon())
    assert isinstance(declined, PayerNeeded)
    assert declined.declined
    press(gateway.retrieve(made.id, SENT, soon()).redirect_url or "", "approve")
    assert isinstance(gateway.capture(made.id, SENT, "capture-2", soon()), Captured)


def test_a_shopper_goes_back(gateway: PayPalGateway) -> None:
    made = created(gateway)
    assert press(made.redirect_url, "back") == f"http://127.0.0.1:9/cart?token={made.id}"
    assert gateway.retrieve(made.id, SENT, soon()).status == "requires_action"


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "cut_body", "hang", "dribble"])
def test_a_broken_creation_makes_one_order(
    paypal: PayPalProcess, gateway: PayPalGateway, kind: str
) -> None:
    match = {"method": "POST", "path": f"{ORDERS}$"}
    paypal.faults([{"kind": kind, "match": match, "seconds": 2}])
    created(gateway)
    assert len(paypal.orders()) == 1
    assert paypal.fired() == {kind: 1}


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "cut_body", "hang", "slow"])
def test_a_broken_capture_takes_the_money_once(
    paypal: PayPalProcess, gateway: PayPalGateway, kind: str
) -> None:
    made = created(gateway)
    paypal.act(made.id, "approve")
    match = {"method": "POST", "path": f"{ORDERS}/"}
    paypal.faults([{"kind": kind, "match": match, "seconds": 0.8}])
    outcome = gateway.capture(made.id, SENT, "capture-1", soon())
    assert isinstance(outcome, Captured), outcome
    assert [each["captures"] for each in paypal.orders()] == [["COMPLETED"]]


def test_a_silent_paypal_leaves_everything_unclear(
    paypal: PayPalProcess, gateway: PayPalGateway
) -> None:
    made = created(gateway)
    paypal.act(made.id, "approve")
    paypal.faults([{"kind": "lost_before", "count": None}])
    assert isinstance(gateway.create(SENT, "key-2", soon()), Unclear)
    assert isinstance(gateway.capture(made.id, SENT, "capture-1", soon()), CaptureUnclear)
    paypal.clear_faults()
    assert isinstance(gateway.capture(made.id, SENT, "capture-1", soon()), Captured)


def test_a_token_that_was_revoked_is_renewed(paypal: PayPalProcess, gateway: PayPalGateway) -> None:
    created(gateway)
    paypal.control("POST", "tokens/revoke")
    created(gateway, "key-2")
    counts = paypal.control("GET", "state")["requests"]
    assert counts["POST /v1/oauth2/token 200"] == 2
    assert counts[f"POST {ORDERS} 401"] == 1


def test_two_at_once_are_one_order(paypal: PayPalProcess, http: HttpClient) -> None:
    gateways = [
        PayPalGateway("app-1", Secret("secret"), http, PAGES, livemode=False, api_base=paypal.url)
        for _ in range(2)
    ]
    match = {"method": "POST", "path": f"{ORDERS}$"}
    paypal.faults([{"kind": "slow", "match": match, "seconds": 0.3}])
    outcomes: list[Any] = []
    threads = [
        threading.Thread(target=lambda each=each: outcomes.append(each.create(SENT, "key", soon())))
        for each in gateways
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({outcome.intent.id for outcome in outcomes}) == 1
    assert sorted(outcome.replayed for outcome in outcomes) == [False, True]


# Controls.


def test_the_controls_show_and_change_orders(paypal: PayPalProcess, gateway: PayPalGateway) -> None:
    made = created(gateway)
    assert paypal.control("GET", f"orders/{made.id}")["status"] == "PAYER_ACTION_REQUIRED"
    paypal.act(made.id, "approve", outcome="PENDING")
    gateway.capture(made.id, SENT, "capture-1", soon())
    paypal.act(made.id, "capture_status", status="COMPLETED")
    assert gateway.retrieve(made.id, SENT, soon()).status == "succeeded"
    other = created(gateway, "key-2")
    paypal.act(other.id, "void")
    assert gateway.retrieve(other.id, SENT, soon()).status == "canceled"
    assert paypal.control("GET", "state")["statuses"] == {"COMPLETED": 1, "VOIDED": 1}
    paths = [each["path"] for each in paypal.requests()]
    assert paths[:2] == ["/v1/oauth2/token", ORDERS]


def test_the_clock_and_the_rules_can_be_moved(
    paypal: PayPalProcess, gateway: PayPalGateway
) -> None:
    paypal.rules(unapproved_seconds=60)
    created(gateway)
    paypal.advance(61)
    assert paypal.orders() == []
    paypal.reset()
    assert paypal.control("GET", "rules")["unapproved_seconds"] == 6 * 3600


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("faults", [{"kind": "late_object"}], 400),
        ("faults", [{"kind": "unknown"}], 400),
        ("rules", {"unknown": 1}, 400),
        ("orders/X/approve", {}, 400),
        ("events/X/resend", {}, 400),
        ("nothing", {}, 404),
    ],
)
def test_a_wrong_control_is_rejected(
    paypal: PayPalProcess, path: str, given: Any, status: int
) -> None:
    answer = requests.post(f"{paypal.url}/_sandbox/{path}", json=given, timeout=10)
    assert answer.status_code == status


def test_a_taken_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


# Webhooks.


class Listener(ThreadingHTTPServer):
    """A webhook endpoint that keeps what it receives."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Recorder)
        self.received: list[tuple[bytes, dict[str, str]]] = []
        self.statuses: list[int] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/webhook/paypal"

    def types(self) -> list[str]:
        return [json.loads(body)["event_type"] for body, _ in self.received]


class _Recorder(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append((body, headers))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener(paypal: PayPalProcess) -> Iterator[Listener]:
    server = Listener()
    paypal.webhooks(url=server.url)
    yield server
    paypal.webhooks(url=None)
    server.shutdown()
    server.server_close()


def until(holds: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_every_change_sends_an_event_that_verifies(
    paypal: PayPalProcess, gateway: PayPalGateway, listener: Listener, http: HttpClient
) -> None:
    made = created(gateway)
    paypal.act(made.id, "approve")
    gateway.capture(made.id, SENT, "capture-1", soon())
    until(lambda: len(listener.received) == 2)
    certificates = Certificates(http, paypal.url)
    for body, headers in listener.received:
        event = read_event(body, headers, [WEBHOOK_ID], certificates, livemode=False)
        assert event is not None
        assert (event.intent_id, event.order.order_id) == (made.id, "A-1")
    assert listener.types() == ["CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED"]


def test_a_delivery_that_is_not_accepted_is_repeated(
    paypal: PayPalProcess, gateway: PayPalGateway, listener: Listener
) -> None:
    listener.statuses = [500]
    paypal.act(created(gateway).id, "approve")
    until(lambda: len(listener.received) == 2)
    first, second = listener.received
    assert first[0] == second[0]
    deliveries = paypal.webhooks()["deliveries"]
    assert [each["type"] for each in deliveries] == ["CHECKOUT.ORDER.APPROVED"] * len(deliveries)


def test_an_event_can_be_doubled_and_sent_again(
    paypal: PayPalProcess, gateway: PayPalGateway, listener: Listener
) -> None:
    paypal.webhooks(detours=[{"kind": "double", "type": "CHECKOUT."}])
    paypal.act(created(gateway).id, "approve")
    until(lambda: len(listener.received) == 2)
    paypal.control("POST", f"events/{paypal.events()[0]['id']}/resend", {})
    until(lambda: len(listener.received) == 3)
    assert len({body for body, _ in listener.received}) == 1
