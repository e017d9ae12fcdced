"""The sandbox process: transport faults, control endpoints, start and stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
import requests
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from requests.exceptions import ConnectionError as Lost

from tests.support.sandbox_process import PUBLISHABLE_KEY, ROOT, SECRET_KEY, SandboxProcess

INTENTS = "/v1/payment_intents"
ORDER = {"amount": "1099", "currency": "usd", "metadata[order_id]": "A-1"}


def create(sandbox: SandboxProcess, **options: float) -> dict[str, str]:
    answer = sandbox.send("POST", INTENTS, ORDER, key="key-1", timeout=options.get("timeout", 10))
    found: dict[str, str] = answer.json()
    return found


@pytest.mark.parametrize(("kind", "made"), [("lost_before", 0), ("lost_after", 1)])
def test_a_lost_response_closes_the_connection(
    sandbox: SandboxProcess, kind: str, made: int
) -> None:
    sandbox.faults([{"kind": kind}])
    with pytest.raises(Lost):
        create(sandbox)
    assert sandbox.state().payment_intents == made
    assert sandbox.requests()[-1]["fault"] == kind


def test_a_browser_gets_an_icon_without_a_key(sandbox: SandboxProcess) -> None:
    answer = requests.get(f"{sandbox.url}/favicon.ico", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")


def test_a_cut_body_has_the_full_content_length(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "cut_body"}])
    with pytest.raises(ChunkedEncodingError, match="IncompleteRead"):
        create(sandbox)
    assert sandbox.state().payment_intents == 1


def test_a_slow_response_is_complete(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "slow", "seconds": 0.3}])
    began = time.monotonic()
    assert create(sandbox)["status"] == "requires_payment_method"
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(("executes", "made"), [(True, 1), (False, 0)])
def test_a_hang_sends_no_response(sandbox: SandboxProcess, executes: bool, made: int) -> None:
    sandbox.faults([{"kind": "hang", "seconds": 5, "executes": executes}])
    with pytest.raises(ReadTimeout):
        create(sandbox, timeout=0.3)
    assert sandbox.state().order("A-1").count == made


def test_a_dribbled_response_is_complete(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "dribble", "seconds": 0.5}])
    began = time.monotonic()
    assert create(sandbox)["object"] == "payment_intent"
    assert time.monotonic() - began >= 0.5


def test_core_and_transport_faults_combine(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "error_500_with_object"}, {"kind": "lost_after"}])
    with pytest.raises(Lost):
        create(sandbox)
    assert sandbox.requests()[-1]["fault"] == "error_500_with_object+lost_after"
    assert sandbox.send("POST", INTENTS, ORDER, key="key-1").status_code == 500
    assert sandbox.fired() == {"error_500_with_object": 1, "lost_after": 1}


def test_faults_can_be_deleted(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "error_503", "count": None}])
    assert sandbox.send("GET", INTENTS).status_code == 503
    sandbox.clear_faults()
    assert sandbox.send("GET", INTENTS).status_code == 200


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "meteor"},
        {"kind": "slow", "secnds": 1},
        {"kind": "slow", "match": {"oder_id": "A"}},
        {},
        [[]],
    ],
)
def test_an_invalid_fault_order_is_rejected(sandbox: SandboxProcess, order: object) -> None:
    with pytest.raises(AssertionError, match="BadOrder"):
        sandbox.control("POST", "faults", order)


def test_the_state_counts_by_order_and_client(sandbox: SandboxProcess) -> None:
    for client, key in (("x", "1"), ("y", "2")):
        params = {**ORDER, "metadata[client_id]": client}
        sandbox.send("POST", INTENTS, params, key=key)
    second = sandbox.send("POST", INTENTS, {**ORDER, "metadata[client_id]": "y"}).json()
    sandbox.send("POST", f"{INTENTS}/{second['id']}/cancel")
    state = sandbox.state()
    assert (state.payment_intents, state.payable) == (3, 2)
    assert (state.order("A-1", "x").count, state.order("A-1").count) == (1, 0)
    assert (state.order("A-1", "y").count, state.order("A-1", "y").payable) == (2, 1)
    assert set(state.order("A-1", "y").statuses) == {"requires_payment_method", "canceled"}


def test_the_state_counts_requests(sandbox: SandboxProcess) -> None:
    create(sandbox)
    create(sandbox)
    sandbox.send("POST", INTENTS, {"amount": "x"})
    state = sandbox.state()
    assert (state.sends("POST /v1/payment_intents"), state.sends(f"POST {INTENTS} 400")) == (3, 1)
    assert state.sends("GET") == 0


def test_faults_and_counts_can_be_for_one_account(sandbox: SandboxProcess) -> None:
    sandbox.faults([{"kind": "error_503", "match": {"account": "other"}, "count": None}])
    mine = sandbox.send("POST", INTENTS, ORDER, key="key-1")
    other = sandbox.send("POST", INTENTS, ORDER, key="key-1", api_key="sk_test_other")
    assert (mine.status_code, other.status_code) == (200, 503)
    assert sandbox.control("GET", "accounts/sandbox")["payable"] == 1
    found = sandbox.control("GET", "accounts/other")
    assert found["payable"] == 0
    assert found["requests"] == {"POST /v1/payment_intents 503": 1}


def test_the_log_records_requests(sandbox: SandboxProcess) -> None:
    create(sandbox)
    create(sandbox)
    first, second = sandbox.requests()
    assert first["params"]["metadata"] == {"order_id": "A-1"}
    assert (first["idempotency_key"], first["status"], first["replayed"]) == ("key-1", 200, False)
    assert second["replayed"] is True


def test_the_clock_moves_and_debits_settle(sandbox: SandboxProcess) -> None:
    paying = {
        "confirm": "true",
        "payment_method": "pm_usBankAccount",
        "return_url": "https://shop.example/done",
    }
    intent = sandbox.send("POST", INTENTS, {**ORDER, **paying}).json()
    assert intent["status"] == "processing"
    before = sandbox.advance(0)
    assert sandbox.advance(4 * 86_400) - before >= 4 * 86_400
    assert sandbox.state().order("A-1").statuses == ("succeeded",)


def test_the_clock_can_be_set(sandbox: SandboxProcess) -> None:
    assert sandbox.control("POST", "clock", {"set": 2_000_000_000})["now"] >= 2_000_000_000
    assert create(sandbox)["created"] >= 2_000_000_000  # type: ignore[operator]


def test_payments_can_be_completed_and_failed(sandbox: SandboxProcess) -> None:
    first = create(sandbox)["id"]
    assert sandbox.fail(first)["last_payment_error"]["code"] == "card_declined"
    assert sandbox.pay(first)["status"] == "succeeded"
    with pytest.raises(AssertionError, match="unexpected_state"):
        sandbox.pay(first)


@pytest.mark.parametrize(
    ("verb", "status"),
    [("complete_action", "succeeded"), ("fail_action", "requires_payment_method")],
)
def test_an_action_can_be_completed_and_failed(
    sandbox: SandboxProcess, verb: str, status: str
) -> None:
    paying = {
        "confirm": "true",
        "payment_method": "pm_card_authenticationRequired",
        "return_url": "https://shop.example/done?order=A-1",
    }
    intent = sandbox.send("POST", INTENTS, {**ORDER, **paying}).json()
    page = sandbox.send("GET", intent["next_action"]["redirect_to_url"]["url"][len(sandbox.url) :])
    assert (page.status_code, "https://shop.example/done?order=A-1&" in page.text) == (200, True)
    assert sandbox.end(intent["id"], verb)["status"] == status


def test_rules_can_be_changed(sandbox: SandboxProcess) -> None:
    sandbox.rules(search_lag_seconds=0, rate_limit=2)
    create(sandbox)
    params = {"query": "metadata['order_id']:'A-1'"}
    assert len(sandbox.send("GET", f"{INTENTS}/search", params).json()["data"]) == 1
    assert sandbox.send("GET", INTENTS).status_code == 429


def test_reset_restores_the_initial_state(sandbox: SandboxProcess) -> None:
    sandbox.rules(search_lag_seconds=0, rate_limit=1)
    sandbox.advance(1e6)
    create(sandbox)
    sandbox.faults([{"kind": "error_503", "count": None}])
    sandbox.reset()
    state = sandbox.state()
    assert (state.payment_intents, state.raw["requests"], state.raw["events"]) == (0, {}, 0)
    assert abs(state.raw["now"] - time.time()) < 5
    rules = sandbox.rules()
    assert (rules["search_lag_seconds"], rules["rate_limit"]) == (2.0, 0)
    assert sandbox.send("GET", INTENTS).status_code == 200


def test_a_page_of_another_origin_can_send_requests(sandbox: SandboxProcess) -> None:
    address = urlsplit(sandbox.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=5)
    asked = {"Origin": "http://shop", "Access-Control-Request-Headers": "authorization"}
    connection.request("OPTIONS", INTENTS, headers=asked)
    preflight = connection.getresponse()
    preflight.read()
    connection.close()
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"
    answer = sandbox.send("GET", INTENTS, Origin="http://shop")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_connections_are_kept_alive(sandbox: SandboxProcess) -> None:
    address = urlsplit(sandbox.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=5)
    for _ in range(3):
        connection.request("GET", INTENTS, headers={"Authorization": f"Bearer {SECRET_KEY}"})
        answer = connection.getresponse()
        assert (answer.status, answer.will_close) == (200, False)
        answer.read()
    connection.close()


@pytest.mark.parametrize(
    ("length", "status"), [("ten", b"400"), ("-1", b"400"), ("99999999", b"413")]
)
def test_an_invalid_content_length_is_rejected(
    sandbox: SandboxProcess, length: str, status: bytes
) -> None:
    address = urlsplit(sandbox.url)
    head = f"POST {INTENTS} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).split()[1] == status


def test_the_greeting_says_that_it_is_not_stripe() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    greeting = process.stdout.readline() + process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=10)
    assert "not Stripe and no money moves" in greeting
    assert SECRET_KEY in greeting
    assert PUBLISHABLE_KEY in greeting
    assert (process.returncode, rest) == (0, "")


def test_a_port_in_use_is_one_line_on_stderr() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "sandbox", "--port", str(port)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"Sandbox: cannot listen on 127.0.0.1:{port}: Address already in use."
    ]


def test_a_hanging_request_does_not_delay_the_stop() -> None:
    with SandboxProcess() as process:
        process.faults([{"kind": "hang", "seconds": 60}])
        with pytest.raises(ReadTimeout):
            create(process, timeout=0.2)
        began = time.monotonic()
        assert process.close() == ""
        assert time.monotonic() - began < 3
