"""Two shops in one service: neither reaches the other's orders, keys, PaymentIntents or account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from settings import load_settings
from stripe_back_end_api import create_app
from tests.sandbox_process import SandboxProcess
from tests.shop import API_KEYS, bearer, clients_file, entry, token

PATH = "/create-payment-intent"


@pytest.fixture
def client(sandbox: SandboxProcess, tmp_path: Path) -> FlaskClient:
    """shop-a pays into a connected account, shop-b into one with a key of its own."""
    path = clients_file(
        tmp_path,
        entry("shop-a", 'stripe_account = "acct_shopA"'),
        entry("shop-b", 'stripe_secret_key = "sk_test_shopB"'),
    )
    environ = {
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_API_BASE": sandbox.url,
        "CLIENTS_FILE": str(path),
    }
    return create_app(load_settings(environ)).test_client()


def create(client: FlaskClient, proof: str, **fields: Any) -> Any:
    return client.post(PATH, json=fields, headers=bearer(proof)).get_json()


def test_the_same_order_number_is_two_orders(client: FlaskClient, sandbox: SandboxProcess) -> None:
    made = {
        shop: create(client, API_KEYS[shop], order_id="A-1", amount=amount)
        for shop, amount in (("shop-a", 100), ("shop-b", 200))
    }
    assert made["shop-a"]["payment_intent_id"] != made["shop-b"]["payment_intent_id"]
    for shop in made:
        assert sandbox.state().order("A-1", shop).count == 1
    keys = {sent["idempotency_key"] for sent in sandbox.requests() if sent["method"] == "POST"}
    assert len(keys) == 2


def test_each_is_paid_into_its_own_account(client: FlaskClient, sandbox: SandboxProcess) -> None:
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


def test_a_replay_asks_the_same_account(client: FlaskClient) -> None:
    for shop in ("shop-a", "shop-b"):
        made = [create(client, API_KEYS[shop], order_id="A-1", amount=100) for _ in range(2)]
        assert made[0] == made[1]


def test_a_token_of_one_is_nothing_to_the_other(
    client: FlaskClient, sandbox: SandboxProcess
) -> None:
    theirs = create(client, API_KEYS["shop-b"], order_id="A-1", amount=1099)
    assert create(client, token("shop-a"))["payment_intent_id"] != theirs["payment_intent_id"]
    for proof in (token("shop-a"), API_KEYS["shop-a"]):
        answer = create(client, proof, order_id="A-1", amount=1099, client_id="shop-b")
        assert answer["action"] == "fix_request"
        assert theirs["client_secret"] not in str(answer)
    assert sandbox.state().order("A-1", "shop-b").count == 1
