"""A kept key store under the key of another Stripe account, and test data deleted at Stripe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from payment_service.settings import load_settings
from stripe_back_end_api import create_app
from tests.support.sandbox_process import SandboxProcess
from tests.support.shop import API_KEYS, bearer, clients_file, entry

ORDER = {"order_id": "A-1", "client_id": "shop-a"}
MINE = bearer(API_KEYS["shop-a"])
LIVE = "sk_live_sandbox"


class Shops:
    """The service on one store, under any key."""

    def __init__(self, sandbox: SandboxProcess, directory: Path) -> None:
        self.sandbox, self.directory = sandbox, directory
        self.clients = clients_file(directory, entry("shop-a"))

    def under(self, key: str) -> FlaskClient:
        """Return the service after a restart with this key."""
        environ = {
            "STRIPE_SECRET_KEY": key,
            "STRIPE_API_BASE": self.sandbox.url,
            "STRIPE_WEBHOOK_SECRET": "whsec_ofTheService",
            "CLIENTS_FILE": str(self.clients),
            "ALLOW_UNSAFE_LIVE": "plain_http,sandbox_address",
            "KEY_STORE_URL": f"sqlite:///{self.directory}/keys.db",
        }
        return create_app(load_settings(environ)).test_client()


@pytest.fixture
def shops(sandbox: SandboxProcess, tmp_path: Path) -> Shops:
    return Shops(sandbox, tmp_path)


def post(client: FlaskClient, what: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"/{what}-payment-intent", json={**ORDER, **fields}, headers=MINE)
    return answer.status_code, answer.get_json()


def created(client: FlaskClient, amount: int = 1099) -> str:
    status, body = post(client, "create", amount=amount)
    assert status == 200, body
    return str(body["payment_intent_id"])


def seen(client: FlaskClient) -> dict[str, Any]:
    said = client.get("/payment-intent", query_string={**ORDER, "refresh": "true"}, headers=MINE)
    assert said.status_code == 200, said.get_json()
    return dict(said.get_json())


def freed(client: FlaskClient, *options: str, answer: str = "") -> tuple[int, str]:
    arguments = ["orders", "free", "A-1", "--client", "shop-a", *options]
    ran = client.application.test_cli_runner().invoke(args=arguments, input=answer)
    return ran.exit_code, ran.output


def test_another_test_account_makes_one_payment_of_its_own(shops: Shops) -> None:
    mine = created(shops.under("sk_test_first"))
    other = shops.under("sk_test_second")
    theirs = created(other)
    assert theirs != mine
    assert created(other) == theirs
    assert created(shops.under("sk_test_first")) == mine
    state = shops.sandbox.state().order("A-1", "shop-a")
    assert (state.count, state.payable) == (2, 2)


def test_every_answer_after_test_data_was_deleted_is_no_stop(shops: Shops) -> None:
    client = shops.under("sk_test_first")
    shops.sandbox.delete(created(client))
    assert post(client, "update", amount=2000)[1]["code"] == "payment_canceled"
    shown = seen(client)
    assert (shown["status"], shown["history"][-1]["what"]) == ("canceled", "gone")
    assert post(client, "cancel")[1]["status"] == "canceled"
    assert created(client, 2000) == created(client, 2000)
    assert shops.sandbox.state().order("A-1", "shop-a").count == 1


def test_deleted_paid_order_answers_409_until_it_is_freed(shops: Shops) -> None:
    client = shops.under("sk_test_first")
    paid = created(client)
    shops.sandbox.pay(paid)
    assert seen(client)["paid"]
    shops.sandbox.delete(paid)
    status, body = post(client, "create", amount=1099)
    assert (status, body["code"], body["action"]) == (409, "payment_succeeded", "fix_request")
    assert freed(client, answer="n\n")[0] == 1
    assert post(client, "create", amount=1099)[0] == 409
    assert freed(client, "--reason", "a new test run", answer="y\n")[0] == 0
    assert created(client) != paid


def test_live_order_stops_until_a_person_frees_it(shops: Shops) -> None:
    client = shops.under(LIVE)
    first = created(client)
    shops.sandbox.delete(first)
    for what, fields in (("create", {"amount": 1099}), ("update", {"amount": 2}), ("cancel", {})):
        status, body = post(client, what, **fields)
        assert (status, body["code"], body["action"]) == (500, "misconfigured", "stop")
        assert "orders free" in body["error"]
    assert shops.sandbox.state().order("A-1", "shop-a").count == 0
    code, said = freed(client, "--yes")
    assert (code, first in said) == (0, True)
    made = created(client)
    assert shops.sandbox.state().order("A-1", "shop-a").ids == (made,)


def test_free_refuses_while_stripe_shows_the_payment(shops: Shops) -> None:
    client = shops.under("sk_test_first")
    first = created(client)
    code, said = freed(client, "--yes")
    assert code == 1
    assert said.startswith(f"Error: Stripe shows this order's PaymentIntent {first}")
    assert created(client) == first


def test_free_names_what_is_wrong(shops: Shops) -> None:
    client = shops.under("sk_test_first")
    assert freed(client, "--yes") == (1, "Error: This order is not known.\n")
    ran = client.application.test_cli_runner().invoke(args=["orders", "free", "", "--yes"])
    assert ran.exit_code == 2
    shops.sandbox.delete(created(client))
    stranger = client.application.test_cli_runner().invoke(
        args=["orders", "free", "A-1", "--client", "shop-b", "--yes"]
    )
    assert (stranger.exit_code, "CLIENTS_FILE" in stranger.output) == (1, True)
