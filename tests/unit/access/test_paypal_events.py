"""PayPal's events: the webhook ids that verify them, and the orders that each may change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from payment_service.access.paypal_events import PayPalEvents
from payment_service.errors import BadRequest
from payment_service.gateways.paypal.certificates import Certificates
from payment_service.schema.secret import Secret
from payment_service.settings import load_settings
from payment_service.wiring import clients_of
from sandbox.paypal.events import signer
from tests.support.fake_payments import FakePayments, client_of
from tests.support.shop import clients_file, entry
from tests.unit.gateways.test_paypal_webhook import CertificateServer

BASE = "http://127.0.0.1:12112"
GIVEN = {"STRIPE_SECRET_KEY": "sk_test_x", "PAYPAL_WEBHOOK_ID": "OWN-1, OWN-2"}


def app_of(name: str) -> tuple[str, ...]:
    return (
        'stripe_account = "acct_1"',
        f'paypal_client_id = "app-{name}"',
        f'paypal_client_secret = "secret-{name}"',
        f'paypal_webhook_id = "ID-{name}"',
    )


def body_of(custom_id: str) -> bytes:
    unit = {"custom_id": custom_id}
    resource = {"id": "8FK52917XN4017342", "purchase_units": [unit]}
    kind = "CHECKOUT.ORDER.APPROVED"
    return json.dumps({"id": "WH-1", "event_type": kind, "resource": resource}).encode()


def headers_of(body: bytes, webhook_id: str) -> dict[str, str]:
    made = signer(lambda: BASE)(body, webhook_id)
    return {name.lower(): value for name, value in made.items()}


@pytest.fixture
def events(tmp_path: Path) -> PayPalEvents:
    path = clients_file(tmp_path, entry("shop-a", *app_of("a")), entry("shop-b", *app_of("b")))
    settings = load_settings({**GIVEN, "CLIENTS_FILE": str(path)})
    certificates = Certificates(CertificateServer(), BASE)
    return PayPalEvents(settings, clients_of(settings), certificates)


def order_in(
    events: PayPalEvents, custom_id: str, webhook_id: str, named: str | None = None
) -> str | None:
    """Return the client of the order that an accepted event names; None if it may not."""
    body = body_of(custom_id)
    event = events.read(body, headers_of(body, webhook_id), named)
    return event.order.client_id or "none" if event else None


@pytest.mark.parametrize("webhook_id", ["OWN-1", "OWN-2"])
def test_services_ids_verify_events_of_every_client(events: PayPalEvents, webhook_id: str) -> None:
    assert order_in(events, "shop-a:A-1", webhook_id) == "shop-a"
    assert order_in(events, "A-1", webhook_id) == "none"


def test_clients_id_verifies_events_at_its_own_address(events: PayPalEvents) -> None:
    assert order_in(events, "shop-a:A-1", "ID-a", "shop-a") == "shop-a"


def test_client_cannot_change_the_orders_of_another_account(events: PayPalEvents) -> None:
    assert order_in(events, "shop-b:A-1", "ID-a", "shop-a") is None
    assert order_in(events, "A-1", "ID-a", "shop-a") is None
    assert order_in(events, "shop-z:A-1", "ID-a", "shop-a") is None


@pytest.mark.parametrize(
    ("webhook_id", "named"),
    [("ID-a", None), ("ID-a", "shop-b"), ("OWN-1", "shop-a"), ("ID-z", None)],
)
def test_other_ids_verify_nothing(events: PayPalEvents, webhook_id: str, named: str | None) -> None:
    with pytest.raises(BadRequest) as raised:
        order_in(events, "shop-a:A-1", webhook_id, named)
    assert raised.value.code == "invalid_signature"


def test_without_an_id_no_event_is_taken(events: PayPalEvents) -> None:
    with pytest.raises(BadRequest) as raised:
        order_in(events, "A-1", "OWN-1", "shop-z")
    assert raised.value.code == "webhook_id_missing"
    settings = load_settings({"STRIPE_SECRET_KEY": "sk_test_x"})
    nobody = PayPalEvents(settings, None, None)
    assert not nobody
    assert events
    with pytest.raises(BadRequest) as raised:
        order_in(nobody, "A-1", "OWN-1")
    assert raised.value.code == "webhook_id_missing"


# Nothing listens there.
UNREACHABLE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        (headers_of(b"{}", "OWN-1") | {"paypal-cert-url": f"{UNREACHABLE}/certs/unknown"}, 503),
    ],
    ids=["no signature", "a certificate that PayPal does not return"],
)
def test_forgeries_are_counted_by_their_address(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    """Each unknown certificate costs a call to PayPal."""
    settings: Any = {
        "clients_file": clients_file(tmp_path, entry("shop-a")),
        "rate_limit_per_address": 3,
        "gateways": "stripe,paypal",
        "paypal_client_id": "app-1",
        "paypal_client_secret": Secret("secret"),
        "paypal_webhook_id": "OWN-1",
        "paypal_api_base": UNREACHABLE,
        "paypal_return_url": "https://shop.example/{order_id}",
        "paypal_cancel_url": "https://shop.example/{order_id}",
    }
    client = client_of(FakePayments(), **settings)

    def codes(times: int, **environ: str) -> list[int]:
        asked: Any = {"data": b"{}", "headers": headers, "environ_overrides": environ}
        return [client.post("/webhook/paypal", **asked).status_code for _ in range(times)]

    assert codes(5) == [status, status, status, 429, 429]
    assert "PayPal's signature" in client.post("/webhook/paypal", data=b"{}").get_json()["error"]
    assert codes(1, REMOTE_ADDR="192.0.2.1") == [status]
