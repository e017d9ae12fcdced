"""Two shops in one service have separate orders, keys, PaymentIntents and accounts."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from payment_service.settings import load_settings
from stripe_back_end_api import create_app
from tests.support.sandbox_process import SandboxProcess
from tests.support.shop import API_KEYS, bearer, clients_file, entry, token

PATH = "/create-payment-intent"


SHOP_A = entry("shop-a", 'stripe_account = "acct_shopA"')
SHOP_B = entry(
    "shop-b", 'stripe_secret_key = "sk_test_shopB"', 'stripe_webhook_secret = "whsec_ofShopB"'
)


@pytest.fixture
def client(sandbox: SandboxProcess, tmp_path: Path) -> FlaskClient:
    """Serve shop-a with a connected account, and shop-b with its own Stripe key."""
    return service(sandbox, tmp_path, SHOP_A, SHOP_B)


def service(sandbox: SandboxProcess, directory: Path, *clients: str, **more: str) -> FlaskClient:
    """Return a service with these clients, on the directory's store."""
    environ = {
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_API_BASE": sandbox.url,
        "STRIPE_WEBHOOK_SECRET": "whsec_ofTheService",
        "CLIENTS_FILE": str(clients_file(directory, *clients)),
        "KEY_STORE_URL": f"sqlite:///{directory}/keys.db",
        **more,
    }
    return create_app(load_settings(environ)).test_client()


def create(client: FlaskClient, proof: str, **fields: Any) -> Any:
    return client.post(PATH, json=fields, headers=bearer(proof)).get_json()


def test_same_order_number_of_two_clients_is_two_orders(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    made = {
        shop: create(client, API_KEYS[shop], order_id="A-1", amount=amount)
        for shop, amount in (("shop-a", 100), ("shop-b", 200))
    }
    assert made["shop-a"]["payment_intent_id"] != made["shop-b"]["payment_intent_id"]
    for shop in made:
        assert sandbox.state().order("A-1", shop).count == 1
    keys = {sent["idempotency_key"] for sent in sandbox.requests() if sent["method"] == "POST"}
    assert len(keys) == 2


def test_each_client_is_paid_into_its_own_account(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    first = create(client, API_KEYS["shop-a"], order_id="A-1", amount=100)["payment_intent_id"]
    second = create(client, API_KEYS["shop-b"], order_id="A-1", amount=100)["payment_intent_id"]

    def seen(intent_id: str, api_key: str, account: str | None = None) -> int:
        path = f"/v1/payment_intents/{intent_id}"
        headers: Any = {"Stripe_Account": account} if account else {}
        return sandbox.send("GET", path, api_key=api_key, **headers).status_code

    assert seen(first, "sk_test_sandbox", "acct_shopA") == 200
    assert seen(first, "sk_test_sandbox") == 404
    assert seen(second, "sk_test_shopB") == 200
    assert seen(second, "sk_test_sandbox") == 404


def test_replay_uses_the_same_account(client: FlaskClient) -> None:
    for shop in ("shop-a", "shop-b"):
        made = [create(client, API_KEYS[shop], order_id="A-1", amount=100) for _ in range(2)]
        assert made[0] == made[1]


def test_token_is_invalid_for_the_other_client(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    theirs = create(client, API_KEYS["shop-b"], order_id="A-1", amount=1099)
    assert create(client, token("shop-a"))["payment_intent_id"] != theirs["payment_intent_id"]
    for proof in (token("shop-a"), API_KEYS["shop-a"]):
        answer = create(client, proof, order_id="A-1", amount=1099, client_id="shop-b")
        assert answer["action"] == "fix_request"
        assert theirs["client_secret"] not in str(answer)
    assert sandbox.state().order("A-1", "shop-b").count == 1


def test_no_endpoint_reaches_the_other_clients_order(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    theirs = create(client, API_KEYS["shop-b"], order_id="B-1", amount=1099)
    before = sandbox.state().order("B-1", "shop-b")
    mine = bearer(API_KEYS["shop-a"])
    for client_id in ({}, {"client_id": "shop-b"}):
        order = {"order_id": "B-1", **client_id}
        for answer in (
            client.get("/payment-intent", query_string=order, headers=mine),
            client.get("/payment-intent", query_string={**order, "refresh": "true"}, headers=mine),
            client.post("/update-payment-intent", json={**order, "amount": 1}, headers=mine),
            client.post("/cancel-payment-intent", json=order, headers=mine),
            client.post("/capture-payment-intent", json=order, headers=mine),
            client.post("/refund-payment-intent", json={**order, "refund_id": "R-1"}, headers=mine),
        ):
            assert answer.status_code == (403 if client_id else 404), answer.get_json()
            assert theirs["payment_intent_id"] not in answer.get_data(as_text=True)
    assert sandbox.state().order("B-1", "shop-b") == before


def test_page_reads_its_order_and_changes_none(client: FlaskClient) -> None:
    create(client, token("shop-a"))
    page = bearer(token("shop-a"))
    status = client.get("/payment-intent", headers=page)
    assert (status.status_code, status.get_json()["order_id"]) == (200, "A-1")
    other = client.get("/payment-intent", query_string={"order_id": "A-2"}, headers=page)
    assert other.status_code == 403
    for path in ("update", "cancel", "capture", "refund"):
        body = {"order_id": "A-1", "amount": 1, "refund_id": "R-1"}
        answer = client.post(f"/{path}-payment-intent", json=body, headers=page)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")


def test_each_client_changes_its_order_in_its_account(client: FlaskClient) -> None:
    for shop in ("shop-a", "shop-b"):
        create(client, API_KEYS[shop], order_id="A-1", amount=1099)
        mine = bearer(API_KEYS[shop])
        for path, body, status in (
            ("/update-payment-intent", {"order_id": "A-1", "amount": 1299}, None),
            ("/cancel-payment-intent", {"order_id": "A-1"}, "canceled"),
        ):
            answer = client.post(path, json=body, headers=mine)
            assert answer.status_code == 200, answer.get_json()
            assert status in (None, answer.get_json()["status"])


def test_each_client_refunds_its_order_in_its_account(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    for shop in ("shop-a", "shop-b"):
        made = create(client, API_KEYS[shop], order_id="A-1", amount=1099)
        sandbox.pay(made["payment_intent_id"])
        refund = {"order_id": "A-1", "refund_id": "R-1", "amount": 500}
        for replayed in (None, "true"):
            answer = client.post(
                "/refund-payment-intent", json=refund, headers=bearer(API_KEYS[shop])
            )
            assert answer.status_code == 200, answer.get_json()
            assert answer.headers.get("Idempotent-Replayed") == replayed
        [found] = sandbox.state().order("A-1", shop).refunds
        assert (found["amount"], found["metadata"]["client_id"]) == (500, shop)


def test_dashboard_refund_is_found_in_its_clients_account(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    """Its event names no order; only the account of the secret can have its PaymentIntent."""
    for shop, secret in (("shop-a", "whsec_ofTheService"), ("shop-b", "whsec_ofShopB")):
        mine = bearer(API_KEYS[shop])
        intent_id = create(client, API_KEYS[shop], order_id="A-1", amount=1099)["payment_intent_id"]
        sandbox.pay(intent_id)
        client.get(
            "/payment-intent", query_string={"order_id": "A-1", "refresh": "true"}, headers=mine
        )
        made = sandbox.refund(intent_id, amount=400)
        events = [e for e in sandbox.events() if e["data"]["object"]["id"] == made["id"]]
        body = json.dumps(events[0]).encode()
        other = "whsec_ofShopB" if shop == "shop-a" else None
        if other:
            answer = client.post("/webhook", data=body, headers=signed(body, other))
            assert answer.get_json()["outcome"] == "not_ours"
        answer = client.post("/webhook", data=body, headers=signed(body, secret))
        assert answer.get_json()["outcome"] == "applied", answer.get_json()
        status = client.get("/payment-intent", query_string={"order_id": "A-1"}, headers=mine)
        assert status.get_json()["amount_refunded"] == 400


def event(intent_id: str, order_id: str, client_id: str) -> bytes:
    subject = {"id": intent_id, "metadata": {"order_id": order_id, "client_id": client_id}}
    said = {"id": "evt_1", "type": "payment_intent.succeeded", "livemode": False,
            "data": {"object": subject}}  # fmt: skip
    return json.dumps(said).encode()


def signed(body: bytes, secret: str) -> dict[str, str]:
    at = int(time.time())
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={at},v1={mac}", "Content-Type": "application/json"}


def test_event_cannot_affect_the_other_accounts_order(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    """shop-b's secret signs an event about shop-a's order, which its account does not have."""
    mine = create(client, API_KEYS["shop-a"], order_id="A-1", amount=1099)["payment_intent_id"]
    theirs = create(client, API_KEYS["shop-b"], order_id="B-1", amount=1099)["payment_intent_id"]
    sandbox.pay(theirs)
    for intent_id, order_id, client_id, outcome in (
        (theirs, "A-1", "shop-a", "not_ours"),
        (mine, "B-1", "shop-b", "not_ours"),
        (theirs, "B-1", "shop-b", "applied"),
    ):
        body = event(intent_id, order_id, client_id)
        answer = client.post("/webhook", data=body, headers=signed(body, "whsec_ofShopB"))
        assert (answer.status_code, answer.get_json()["outcome"]) == (200, outcome)
    status = client.get(
        "/payment-intent", query_string={"order_id": "A-1"}, headers=bearer(API_KEYS["shop-a"])
    )
    assert status.get_json()["paid"] is False
    forged = event(theirs, "B-1", "shop-b")
    assert (
        client.post("/webhook", data=forged, headers=signed(forged, "whsec_x")).status_code == 400
    )


@pytest.mark.parametrize("header", ["t=1,v1=\xd5", "t=1", "v1=0", "t=x,v1=0", "\xe9"])
def test_invalid_signature_is_rejected(client: FlaskClient, header: str) -> None:
    answer = client.post("/webhook", data=b"{}", headers={"Stripe-Signature": header})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_signature")


def test_reconciler_searches_each_orders_own_account(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    """The reconciler finds a payment without a webhook in either account."""
    for shop in ("shop-a", "shop-b"):
        sandbox.pay(
            create(client, API_KEYS[shop], order_id="A-1", amount=1099)["payment_intent_id"]
        )
    tally, exit_code = reconciled(client)
    assert (tally["checked"], tally["paid_late"], tally["unresolved"]) == (2, 2, 0)
    assert exit_code == 0


def reconciled(client: FlaskClient, *options: str) -> tuple[dict[str, Any], int]:
    ran = client.application.test_cli_runner().invoke(args=["reconcile", "--json", *options])
    return json.loads(ran.output.splitlines()[-1]), ran.exit_code


@pytest.mark.parametrize("kind", ["lost_before", "lost_after"])
def test_order_of_a_removed_client_uses_no_other_account(
    sandbox: SandboxProcess, tmp_path: Path, kind: str
) -> None:
    """A restored client gets its PaymentIntent, in its own account."""
    once = {"STRIPE_MAX_ATTEMPTS": "1"}
    both = service(sandbox, tmp_path, SHOP_A, SHOP_B, **once)
    sandbox.faults([{"kind": kind, "count": 1, "match": {"method": "POST"}}])
    lost = create(both, API_KEYS["shop-b"], order_id="A-1", amount=1099)
    assert lost["code"] == "stripe_unreachable"
    left = service(sandbox, tmp_path, SHOP_A, **once)
    for options in (), ("--dry-run",):
        tally, exit_code = reconciled(left, *options)
        assert (tally["adopted"], tally["unresolved"], exit_code) == (0, 1, 1)
    body = event("pi_1", "A-1", "shop-b")
    answer = left.post("/webhook", data=body, headers=signed(body, "whsec_ofTheService"))
    assert (answer.status_code, answer.get_json()["code"]) == (500, "misconfigured")
    again = service(sandbox, tmp_path, SHOP_A, SHOP_B, **once)
    made = create(again, API_KEYS["shop-b"], order_id="A-1", amount=1099)
    path = f"/v1/payment_intents/{made['payment_intent_id']}"
    assert sandbox.send("GET", path, api_key="sk_test_shopB").status_code == 200
    assert sandbox.state().order("A-1", "shop-b").count == 1
