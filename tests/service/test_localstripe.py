"""The service in front of localstripe (PyPI, GPL), a Stripe stand-in that others wrote.

It runs as a separate process and is neither imported nor vendored. What it cannot do, so that
these tests leave it out: it ignores Idempotency-Key (the same key makes a new object each time),
gives no 400 for changed parameters and no 409 for a key in flight, has no PaymentIntent search and
no list by `created`, and knows neither `automatic_payment_methods` nor
`allowed_payment_method_types`. The sandbox is there for those.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.support.sandbox_process import WEBHOOK_SECRET
from tests.support.service_process import ServiceProcess, free_port

LOCALSTRIPE = Path(sys.executable).with_name("localstripe")


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [LOCALSTRIPE, "--port", str(port), "--from-scratch"],
        cwd=tmp_path_factory.mktemp("localstripe"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="module")
def service(localstripe: str) -> Iterator[ServiceProcess]:
    environ = {"STRIPE_SECRET_KEY": "sk_test_localstripe", "WEB_CONCURRENCY": "1"}
    with ServiceProcess(localstripe, environ) as running:
        yield running


def test_order_gets_its_payment_intent(service: ServiceProcess, localstripe: str) -> None:
    answer = service.create("L-1", 2500, metadata={"cart": "7"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["client_secret"].startswith(body["payment_intent_id"])
    made = _intent(localstripe, body["payment_intent_id"])
    assert (made["amount"], made["currency"]) == (2500, "usd")
    assert made["metadata"] == {"cart": "7", "order_id": "L-1"}


def test_repeated_request_gets_the_same_payment_intent(service: ServiceProcess) -> None:
    first, second = service.create("L-2"), service.create("L-2")
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"


def test_paid_order_has_status_succeeded(service: ServiceProcess, localstripe: str) -> None:
    intent_id = service.create("L-3").json()["payment_intent_id"]
    _pay(localstripe, intent_id)
    assert service.create("L-3").json()["status"] == "succeeded"


def test_canceled_order_gets_another_intent(service: ServiceProcess, localstripe: str) -> None:
    first = service.create("L-4").json()["payment_intent_id"]
    _post(localstripe, f"/v1/payment_intents/{first}/cancel", {})
    second = service.create("L-4")
    assert second.status_code == 200
    assert second.json()["payment_intent_id"] != first


def test_its_signed_webhooks_are_accepted(service: ServiceProcess, localstripe: str) -> None:
    """Its events have the format of 2017 and no `livemode`, and other code signs them."""
    hook = {"url": f"{service.url}/webhook", "secret": WEBHOOK_SECRET}
    requests.post(f"{localstripe}/_config/webhooks/ours", hook, timeout=5).raise_for_status()
    _pay(localstripe, service.create("L-6").json()["payment_intent_id"])
    patience = time.monotonic() + 10
    while not service.get("/payment-intent", order_id="L-6").json()["paid"]:
        assert time.monotonic() < patience, "its webhook did not come"
        time.sleep(0.1)


def test_its_rejection_is_a_clear_400(service: ServiceProcess) -> None:
    answer = service.create("L-5", customer="cus_nobody")
    assert answer.status_code in (400, 404)
    assert answer.json()["action"] == "fix_request"


def _wait_for(url: str) -> None:
    patience = time.monotonic() + 20
    while time.monotonic() < patience:
        with suppress(requests.ConnectionError):
            requests.get(f"{url}/v1/payment_intents", timeout=1)
            return
        time.sleep(0.05)
    raise RuntimeError("localstripe did not start")


def _pay(url: str, intent_id: str) -> None:
    card = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2040", "cvc": "123"}
    method = _post(
        url, "/v1/payment_methods", {"type": "card", **{f"card[{k}]": v for k, v in card.items()}}
    )
    _post(url, f"/v1/payment_intents/{intent_id}", {"payment_method": str(method["id"])})
    paid = _post(url, f"/v1/payment_intents/{intent_id}/confirm", {})
    assert paid["status"] == "succeeded", paid


def _intent(url: str, intent_id: str) -> dict[str, object]:
    answer = requests.get(
        f"{url}/v1/payment_intents/{intent_id}", auth=("sk_test_localstripe", ""), timeout=5
    )
    found: dict[str, object] = answer.json()
    return found


def _post(url: str, path: str, params: dict[str, str]) -> dict[str, object]:
    answer = requests.post(url + path, params, auth=("sk_test_localstripe", ""), timeout=5)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found
