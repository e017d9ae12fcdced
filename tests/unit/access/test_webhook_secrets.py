"""Whose secret may have signed an event, what it may speak of, and what a forgery costs."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from payment_service.access.clients import Client, Clients
from payment_service.access.webhook_secrets import MAX_TRIED, WebhookSecrets
from payment_service.errors import BadRequest, GatewayUnreachable
from payment_service.gateways.stripe import webhook
from payment_service.gateways.stripe.webhook import Hint, read_event
from payment_service.schema.secret import Secret
from payment_service.web.body import MAX_EVENT_BYTES
from tests.support.fake_payments import FakePayments, client_of
from tests.support.shop import clients_file, entry

NOW = 1_800_000_000
OURS = Secret("whsec_ours")


def shop(number: int, **more: Any) -> Client:
    return Client(
        id=f"shop-{number}",
        api_keys_sha256=["0" * 64],
        stripe_secret_key=Secret(f"sk_test_{number}"),
        stripe_webhook_secret=Secret(f"whsec_of{number}"),
        **more,
    )


def secrets_of(count: int) -> WebhookSecrets:
    return WebhookSecrets(OURS, Clients({f"shop-{n}": shop(n) for n in range(count)}))


def body_of(client_id: str | None = None, **more: Any) -> bytes:
    subject = {"id": "pi_1", "metadata": {"order_id": "A-1", "client_id": client_id}}
    said = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": subject}}
    return json.dumps({**said, **more}).encode()


def header_of(body: bytes, secret: str, at: int = NOW) -> str:
    return f"t={at},v1={mac(body, secret, at)}"


def mac(body: bytes, secret: str, at: int = NOW) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def read(body: bytes, header: str, secrets: WebhookSecrets, **more: Any) -> Any:
    return read_event(body, header, secrets, lambda: float(NOW), **more)


MANY = secrets_of(10_000)


def test_a_client_s_event_is_verified_however_many_clients_there_are() -> None:
    body = body_of("shop-9999")
    signed = read(body, header_of(body, "whsec_of9999"), MANY)
    assert (signed.event.order.client_id, signed.foreign) == ("shop-9999", False)
    assert read(body, header_of(body, "whsec_ours"), MANY).event == signed.event


def test_the_events_account_selects_the_client() -> None:
    connected = Client(
        id="c",
        api_keys_sha256=["0" * 64],
        stripe_account="acct_1",
        stripe_webhook_secret=Secret("whsec_connected"),
    )
    clients = {f"shop-{n}": shop(n) for n in range(100)} | {"c": connected}
    body = body_of(None, account="acct_1", type="payout.paid")
    known = WebhookSecrets(OURS, Clients(clients))
    assert read(body, header_of(body, "whsec_connected"), known).event is None


def test_an_event_of_no_client_is_tried_with_every_secret_of_a_few() -> None:
    body = body_of(None, type="payout.paid")
    few = secrets_of(MAX_TRIED - 1)
    for secret in ("whsec_ours", f"whsec_of{MAX_TRIED - 2}"):
        assert read(body, header_of(body, secret), few).event is None


def test_the_clients_url_selects_the_client() -> None:
    body = body_of(None, type="payout.paid")
    header = header_of(body, "whsec_of9999")
    assert read(body, header, MANY, client_id="shop-9999").event is None
    for other in ("shop-1", "nobody", ""):
        with pytest.raises(BadRequest):
            read(body, header, MANY, client_id=other)


def test_a_client_does_not_speak_of_another_s_order() -> None:
    for client_id in ("shop-1", None, "nobody"):
        body = body_of(client_id)
        assert read(body, header_of(body, "whsec_of0"), secrets_of(3)).foreign


def refund_body(metadata: dict[str, str]) -> bytes:
    subject = {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "created": NOW,
        "currency": "usd",
        "metadata": metadata,
        "payment_intent": "pi_1",
        "status": "succeeded",
    }
    said = {"id": "evt_1", "type": "refund.created", "data": {"object": subject}}
    return json.dumps(said).encode()


def test_a_client_does_not_speak_of_another_s_refund() -> None:
    for client_id, foreign in (("shop-0", False), ("shop-1", True)):
        body = refund_body({"order_id": "A-1", "client_id": client_id})
        signed = read(body, header_of(body, "whsec_of0"), secrets_of(3))
        assert (signed.event, signed.money.intent_id) == (None, "pi_1")
        assert signed.foreign is foreign


def test_a_refund_of_no_named_order_says_whose_orders_its_secret_covers() -> None:
    body = refund_body({})
    signed = read(body, header_of(body, "whsec_of0"), secrets_of(3))
    assert not signed.foreign
    assert signed.covers("shop-0")
    assert not signed.covers("shop-1")
    assert not signed.covers(None)


def test_clients_of_one_account_speak_for_each_other() -> None:
    same = {"stripe_secret_key": Secret("sk_test_0")}
    twin = Client(id="twin", api_keys_sha256=["1" * 64], **same)  # type: ignore[arg-type]
    known = WebhookSecrets(OURS, Clients({"shop-0": shop(0), "twin": twin}))
    body = body_of("twin")
    assert not read(body, header_of(body, "whsec_of0"), known).foreign


@pytest.mark.parametrize("named", ["shop-5", None, "nobody"])
def test_a_forgery_costs_a_few_signatures(monkeypatch: pytest.MonkeyPatch, named: Any) -> None:
    """Counted, not timed: it was one for each of 10,000 secrets."""
    tried: list[str] = []
    honest = webhook._is_signed

    def counted(payload: bytes, signatures: list[str], secret: str) -> bool:
        tried.append(secret)
        return honest(payload, signatures, secret)

    monkeypatch.setattr(webhook, "_is_signed", counted)
    body = body_of(named, padding="x" * (MAX_EVENT_BYTES - 1000))
    with pytest.raises(BadRequest):
        read(body, f"t={NOW},v1={'0' * 64}", MANY)
    assert len(tried) == MAX_TRIED
    tried.clear()
    for header in ("", f"t={NOW},v1=", f"t={NOW - 301},v1={'0' * 64}"):
        with pytest.raises(BadRequest):
            read(body, header, MANY)
    assert len(tried) <= MAX_TRIED


def test_unverified_claims_only_order_the_secrets() -> None:
    for hint in (Hint(), Hint("shop-7"), Hint("nobody", "acct_x")):
        assert "whsec_ours" in MANY.candidates(hint)
        assert len(MANY.candidates(hint)) == MAX_TRIED


ODD_HEADERS = [
    "",
    "t=,v1=",
    "t=1" + "0" * 5000 + ",v1=" + "0" * 64,
    "t=" + "9" * 400 + ",v1=" + "0" * 64,
    "t=inf,v1=" + "0" * 64,
    "t=nan,v1=" + "0" * 64,
    "t=-1,v1=" + "0" * 64,
    "t=1_8,v1=" + "0" * 64,
    "t=\u0661\u0668,v1=" + "0" * 64,
    f"t={NOW},v1=" + "\u0660" * 64,
    f"t={NOW},v1=\xe9",
    f"t={NOW},v1=\x00",
    f"t={NOW}\x00,v1=" + "0" * 64,
    f"t= {NOW},v1=" + "0" * 64,
    f"t={NOW}" + f",v1={'0' * 64}" * 3000,
    f"t={NOW}" + ",v1=" * 5000,
    "," * 100_000,
    "=" * 100_000,
    "\ud800",
    "v1=" + "0" * 64,
]


@pytest.mark.parametrize("header", ODD_HEADERS)
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"account": 1}'])
def test_any_header_is_refused_in_one_way(header: str, body: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        read(body, header, secrets_of(2))
    assert refused.value.code == "invalid_signature"


@given(st.text() | st.from_regex(r"t=[0-9]+(,v1=[0-9a-f]*)*", fullmatch=True), st.binary())
def test_any_text_in_the_header_is_refused(header: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(body, header, secrets_of(2))


@given(st.text(st.characters(codec="utf-8")))
def test_a_signature_of_the_sdk_is_taken(text: str) -> None:
    body = json.dumps({"id": text}, ensure_ascii=False)
    header = stripe.WebhookSignature.generate_signature_header(body, "whsec_ours", NOW)
    assert read(body.encode(), header, secrets_of(2)).event is None


def test_a_body_that_is_signed_and_no_json_is_malformed() -> None:
    for body in (b"", b"\xff", b"[" * 100_000, b"[]"):
        with pytest.raises(BadRequest) as refused:
            read(body, header_of(body, "whsec_ours"), secrets_of(2))
        assert refused.value.code == "malformed_json"


# Over HTTP.


def test_forgeries_are_counted_by_their_address(tmp_path: Path) -> None:
    path = clients_file(tmp_path, entry("shop-a"))
    settings: Any = {"clients_file": path, "rate_limit_per_address": 3}
    client = client_of(FakePayments(), stripe_webhook_secret=OURS, **settings)

    def codes(times: int, **environ: str) -> list[int]:
        asked: Any = {"data": b"{}", "environ_overrides": environ}
        return [client.post("/webhook", **asked).status_code for _ in range(times)]

    assert codes(5) == [400, 400, 400, 429, 429]
    refused = client.post("/webhook", data=b"{}")
    assert refused.get_json()["code"] == "too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 121
    assert codes(1, REMOTE_ADDR="192.0.2.1") == [400]
    body = b"{"
    header = header_of(body, "whsec_ours", int(time.time()))
    for _ in range(10):
        answer = client.post(
            "/webhook",
            data=body,
            headers={"Stripe-Signature": header},
            environ_overrides={"REMOTE_ADDR": "192.0.2.2"},
        )
        assert answer.get_json()["code"] == "malformed_json"


@dataclass
class SilentGateway(FakePayments):
    """Its orders are at a gateway that does not answer."""

    def orders_of(self, client_id: str | None) -> Any:
        assert client_id is None
        return self

    def apply(self, _: object) -> str:
        raise GatewayUnreachable("PayPal did not answer.", code="paypal_unreachable")


def test_signed_events_of_an_outage_are_no_forgeries() -> None:
    client = client_of(SilentGateway(), stripe_webhook_secret=OURS, rate_limit_per_address=3)
    body = body_of(livemode=False)
    header = header_of(body, "whsec_ours", int(time.time()))
    for _ in range(10):
        answer = client.post("/webhook", data=body, headers={"Stripe-Signature": header})
        assert answer.get_json()["code"] == "paypal_unreachable"
