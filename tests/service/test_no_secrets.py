"""Call every endpoint at DEBUG, then search all logs, responses and records for secrets."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from payment_service.errors import StoreDown
from payment_service.settings import load_settings
from payment_service.telemetry.logs import start_logging
from stripe_back_end_api import create_app
from tests.support.fake_payments import FakePayments
from tests.support.sandbox_process import SandboxProcess
from tests.support.shop import API_KEYS, SECRETS, bearer, clients_file, entry, token

PATH = "/create-payment-intent"
MARK = "hunter2"
SECRET_KEY = f"sk_test_{MARK}"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Capture the output of every logger in its final format."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    loggers = {name: logging.getLogger(name) for name in ("stripe", "urllib3", "redis")}
    levels = {name: logger.level for name, logger in loggers.items()}
    root.handlers[:] = []
    start_logging("DEBUG", stream)
    for logger in loggers.values():
        # Even when an operator has enabled the SDK's own log lines.
        logger.setLevel(logging.DEBUG)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    for name, logger in loggers.items():
        logger.setLevel(levels[name])


class Surface:
    """Calls every endpoint, and keeps the responses and the secrets to search for."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self.answers = ""
        self.client_secrets: list[str] = []

    def post(self, body: object, proof: str, path: str = PATH) -> None:
        answer = self._client.post(path, json=body, headers=bearer(proof))
        found = answer.get_json()
        secret = found.pop("client_secret", None)
        if secret:
            self.client_secrets.append(secret)
        self.answers += f"{answer.headers}{found}"

    def get(self, path: str) -> None:
        answer = self._client.get(path, headers=bearer(token()))
        self.answers += f"{answer.headers}{answer.get_data(as_text=True)}"

    def ask_everything(self, sandbox: SandboxProcess) -> None:
        key = API_KEYS["shop-a"]
        order = {"order_id": "A-1", "amount": 1099}
        for kind in ("error_500_with_object", "lost_after", "rate_limited", "html", "unauthorized"):
            sandbox.faults([{"kind": kind, "count": 1, "match": {"method": "POST"}}])
            self.post({**order, "order_id": f"A-{kind}"}, key)
        sandbox.clear_faults()
        for body in (order, order, {**order, "amount": 1}, {}, {**order, SECRET_KEY: SECRET_KEY}):
            self.post(body, key)
        self.post({}, token())
        self.post({**order, "receipt_email": SECRET_KEY}, key)
        self.post({**order, "order_id": "A-2", "customer": "cus_unknown"}, key)
        self.post({**order, "order_id": "A-3", "description": f"{SECRET_KEY} in a text"}, key)
        for proof in (token(secret="x" * 64), token(exp=1), key + "0", SECRET_KEY, "a.b.c"):
            self.post(order, proof)
        for path in ("/config", "/docs", "/openapi.json", "/readyz", "/healthz", "/nothing"):
            self.get(path)
        self.get(f"/{SECRET_KEY}")


def test_no_secret_is_in_logs_responses_or_the_store(
    sandbox: SandboxProcess, log: io.StringIO, tmp_path: Path
) -> None:
    settings = load_settings(
        {
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": f"whsec_{MARK}",
            "STRIPE_API_BASE": sandbox.url,
            "STRIPE_MAX_ATTEMPTS": "1",
            "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db",
            "CLIENTS_FILE": str(clients_file(tmp_path, entry("shop-a"), entry("shop-b"))),
        }
    )
    surface = Surface(create_app(settings).test_client())
    surface.ask_everything(sandbox)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("keys.db*")).decode("latin-1")
    written = {"log": log.getvalue(), "answers": surface.answers, "settings": repr(settings)}
    assert len(surface.client_secrets) >= 3
    for name, text in {**written, "store": stored.replace(f"{SECRET_KEY} in a text", "")}.items():
        for secret in (MARK, *API_KEYS.values(), *SECRETS.values(), *surface.client_secrets):
            assert secret not in text, f"{secret} in {name}"
        assert "eyJ" not in text, f"a token in {name}"
    assert '"level": "debug"' in written["log"]
    assert "stripe" in written["log"]


def test_traceback_of_a_bug_has_no_secret(log: io.StringIO, tmp_path: Path) -> None:
    settings = load_settings({"STRIPE_SECRET_KEY": SECRET_KEY})
    for error in (
        RuntimeError(f"{SECRET_KEY} pi_1_secret_{MARK} whsec_{MARK}"),
        StoreDown(f"postgresql://me:{MARK}@db/keys does not answer"),
    ):
        client = create_app(settings, FakePayments(error=error)).test_client()  # type: ignore[arg-type]
        answer = client.post(PATH, json={"order_id": "A-1", "amount": 1})
        assert MARK not in answer.get_data(as_text=True)
    assert "Traceback" in log.getvalue()
    assert MARK not in log.getvalue()
