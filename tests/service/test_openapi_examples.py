"""The examples of GET /openapi.json, sent to the running service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe

from tests.support.json_schema import Schemas
from tests.support.sandbox_process import WEBHOOK_SECRET, SandboxProcess
from tests.support.service_process import ServiceProcess

SEQUENCE = (
    ("post", "/create-payment-intent"),
    ("get", "/payment-intent"),
    ("get", "/orders"),
    ("post", "/update-payment-intent"),
    ("post", "/cancel-payment-intent"),
    ("post", "/capture-payment-intent"),
    ("post", "/refund-payment-intent"),
    ("post", "/webhook"),
    ("get", "/config"),
    ("get", "/healthz"),
    ("get", "/readyz"),
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as running:
        yield running


@pytest.fixture(scope="module")
def service(sandbox: SandboxProcess) -> Iterator[ServiceProcess]:
    with ServiceProcess(sandbox.url) as running:
        yield running


def authorize(service: ServiceProcess, sandbox: SandboxProcess) -> None:
    """Confirm the PaymentIntent of the order M-1, as its shopper does."""
    intent_id = service.create("M-1", capture_method="manual").json()["payment_intent_id"]
    params = {"payment_method": "pm_card_visa", "return_url": "https://shop.example"}
    sandbox.send("POST", f"/v1/payment_intents/{intent_id}/confirm", params).raise_for_status()


def send(service: ServiceProcess, method: str, path: str, value: Any) -> requests.Response:
    if method == "get":
        query = {"order_id": "A-1"} if path == "/payment-intent" else None
        return requests.get(service.url + path, params=query, timeout=30)
    body = json.dumps(value)
    signature = stripe.WebhookSignature.generate_signature_header(
        body, WEBHOOK_SECRET, int(time.time())
    )
    headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
    return requests.post(service.url + path, data=body, headers=headers, timeout=30)


def test_every_example_is_answered_as_it_is_described(
    service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    document = service.get("/openapi.json").json()
    described = {(way, path) for path, ways in document["paths"].items() for way in ways}
    # test_second_gateway.py sends PayPal's event, which needs PayPal's certificate.
    assert {*SEQUENCE, ("post", "/webhook/paypal")} == described
    schemas = Schemas(document)
    for method, path in SEQUENCE:
        if path == "/capture-payment-intent":
            authorize(service, sandbox)
        operation = document["paths"][path][method]
        body = operation.get("requestBody", {"content": {"application/json": {}}})
        examples = body["content"]["application/json"].get("examples", {"none": {"value": None}})
        told = operation["responses"]["200"]["content"]["application/json"]
        for name, example in examples.items():
            answer = send(service, method, path, example["value"])
            assert answer.status_code == 200, (path, name, answer.text)
            assert schemas.fits(answer.json(), told["schema"]), (path, answer.text)
            further = {"gateway"} if "accept_gateways" in (example["value"] or {}) else set()
            assert answer.json().keys() == {*told["example"], *further}
