"""The service under gunicorn's own thread worker, without our worker, hooks and settings.

Only the promises of tests/service/test_worker.py and test_operated.py need payment_service/server/.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shop_listener import until

COMMAND = "-m gunicorn -c /dev/null -k gthread --threads 64 stripe_back_end_api:app"


@pytest.fixture
def metrics_port() -> int:
    return free_port()


@pytest.fixture
def service(sandbox: SandboxProcess, tmp_path: Path, metrics_port: int) -> Iterator[ServiceProcess]:
    counts = tmp_path / "counts"
    counts.mkdir()
    environ = {
        "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db",
        "METRICS_PORT": str(metrics_port),
        "PROMETHEUS_MULTIPROC_DIR": str(counts),
    }
    command = (sys.executable, *COMMAND.split())
    with ServiceProcess(sandbox.url, environ, command=command) as process:
        yield process


def test_order_and_its_replay(service: ServiceProcess, sandbox: SandboxProcess) -> None:
    first, again = service.create("A-1"), service.create("A-1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["payment_intent_id"] == again.json()["payment_intent_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert sandbox.state().payment_intents == 1
    assert service.get("/payment-intent", order_id="A-1").status_code == 200


def test_health_and_readiness(service: ServiceProcess) -> None:
    assert service.get("/healthz").json() == {"status": "ok"}
    assert service.get("/readyz").json() == {"status": "ok"}


def test_bad_input_is_rejected_in_the_common_shape(service: ServiceProcess) -> None:
    for path, body, status in [
        ("/create-payment-intent", {"amount": 1.5, "order_id": "A-1"}, 400),
        ("/create-payment-intent", ["x" * 70_000], 413),
        ("/nothing", {}, 404),
        ("/healthz", {}, 405),
    ]:
        answer = service.post(path, body)
        assert answer.status_code == status
        assert answer.json()["action"] == "fix_request"


def test_metrics_of_all_workers_are_on_one_port(service: ServiceProcess, metrics_port: int) -> None:
    for number in range(20):
        assert service.create(f"A-{number}").status_code == 200
    text = requests.get(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5).text
    line = 'payments_requests_total{route="/create-payment-intent",status="200"} 20.0'
    assert line in text.splitlines()


def test_killed_worker_is_replaced_and_orders_survive(
    service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    first = service.create("A-1").json()
    sandbox.advance(25 * 3600)
    victim = service.kill_a_worker()
    until(lambda: victim not in service.workers() and len(service.workers()) == 2)
    again = service.create("A-1")
    assert again.json()["payment_intent_id"] == first["payment_intent_id"]
    assert sandbox.state().payment_intents == 1


def test_sigterm_answers_what_is_in_flight(
    service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    sandbox.faults([{"kind": "slow", "seconds": 1}])
    assert service.create("A-1").status_code == 200
    began = time.monotonic()
    service.close()
    assert time.monotonic() - began < 15
