"""The example that sends errors to Sentry: a bug arrives, and no secret with it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox_process import SECRET_KEY, SandboxProcess
from tests.support.service_process import COMMAND, ServiceProcess
from tests.support.shop import API_KEYS, SECRETS, bearer, clients_file, entry
from tests.support.shop_listener import until

pytest.importorskip("sentry_sdk")

# Raises in the first call of each order to Stripe, with secrets in its message and its variables.
BUG = """
from payment_service.gateways.stripe.gateway import StripeGateway

MARK = "hun" + "ter2"

def create(self, sent, key, deadline):
    client_secret = "pi_1_secret_" + MARK
    raise RuntimeError(f"no {client_secret} for {key[:6]} sk_test_{MARK}")

StripeGateway.create = create

from examples.sentry_wsgi import app
"""


class Sentry(ThreadingHTTPServer):
    """Takes Sentry's envelopes on loopback, and keeps them unpacked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.envelopes: list[bytes] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server_address[1]}/1"

    def events(self) -> list[dict[str, Any]]:
        lines = [line for each in list(self.envelopes) for line in each.splitlines()]
        parsed = [json.loads(line) for line in lines if line.startswith(b"{")]
        return [each for each in parsed if "level" in each and "timestamp" in each]


class _Take(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        zipped = self.headers.get("Content-Encoding") == "gzip"
        self.server.envelopes.append(gzip.decompress(body) if zipped else body)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    server = Sentry()
    yield server
    server.shutdown()
    server.server_close()


def test_bug_arrives_without_any_secret(sentry: Sentry, tmp_path: Path) -> None:
    (tmp_path / "with_a_bug.py").write_text(BUG)
    command = [*COMMAND[:-1], "--pythonpath", str(tmp_path), "with_a_bug:app"]
    environ = {
        "SENTRY_DSN": sentry.dsn,
        "CLIENTS_FILE": str(clients_file(tmp_path, entry("shop-a"))),
    }
    body = {
        "order_id": "A-1",
        "client_id": "shop-a",
        "amount": 1099,
        "description": "hunter2body",
        "receipt_email": "ann@example.com",
    }
    proof = bearer(API_KEYS["shop-a"])["Authorization"]
    with (
        SandboxProcess() as stripe,
        ServiceProcess(stripe.url, environ, command=command) as service,
    ):
        answer = service.post(
            "/create-payment-intent?hunter2query=1",
            body,
            Authorization=proof,
            Cookie="a=hunter2cookie",
            User_Agent="hunter2ua",
        )
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        until(lambda: bool(sentry.events()))
    (event,) = sentry.events()
    (bug,) = event["exception"]["values"][-1:]
    assert bug["type"] == "RuntimeError"
    assert bug["value"].startswith("no pi_1[redacted] for order-")
    assert [each["function"] for each in bug["stacktrace"]["frames"]][-1] == "create"
    assert event["transaction"] == "/create-payment-intent"
    assert event["request"]["method"] == "POST"
    sent = b"".join(sentry.envelopes)
    own = (SECRET_KEY, API_KEYS["shop-a"], SECRETS["shop-a"], "ann@example.com", "whsec_")
    for secret in ("hunter2", *own):
        assert secret.encode() not in sent, secret
