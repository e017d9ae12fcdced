"""The parameters that Stripe receives for a request: the whole service on the sandbox's core."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from payment_service.payments.payments import Payments
from payment_service.settings import load_settings
from stripe_back_end_api import create_app
from tests.support.flow_bench import FlowBench
from tests.unit.web.test_bad_input import INVALID, MALFORMED, VALID

SETTINGS = load_settings({"STRIPE_SECRET_KEY": "sk_test_shop"})
PATH = "/create-payment-intent"
MANDATE = {"payment_schedule": "sporadic", "transaction_type": "personal"}


@pytest.fixture
def bench() -> FlowBench:
    return FlowBench()


@pytest.fixture
def client(bench: FlowBench) -> FlaskClient:
    return create_app(SETTINGS, Payments(bench.context, SETTINGS)).test_client()


def pay(client: FlaskClient, **fields: Any) -> TestResponse:
    response = client.post(PATH, json={**VALID, **fields})
    assert response.status_code == 200, response.text
    return response


def only(bench: FlowBench) -> dict[str, Any]:
    (made,) = bench.made()
    return made


def test_ach_parameters_are_sent(client: FlaskClient, bench: FlowBench) -> None:
    pay(client, payment_method_types=["us_bank_account"])
    made = only(bench)
    assert (made["currency"], made["payment_method_types"]) == ("usd", ["us_bank_account"])


@pytest.mark.parametrize("currency", ["cad", "usd"])
def test_eft_parameters_are_sent(client: FlaskClient, bench: FlowBench, currency: str) -> None:
    options = {"acss_debit": {"mandate_options": MANDATE}}
    pay(
        client,
        currency=currency,
        payment_method_types=["acss_debit"],
        payment_method_options=options,
    )
    made = only(bench)
    assert (made["currency"], made["payment_method_types"]) == (currency, ["acss_debit"])
    assert made["payment_method_options"]["acss_debit"]["mandate_options"] == MANDATE


def test_interac_parameters_are_sent(client: FlaskClient, bench: FlowBench) -> None:
    pay(client, currency="cad", payment_method_types=["card_present", "interac_present"])
    made = only(bench)
    assert made["currency"] == "cad"
    assert made["payment_method_types"] == ["card_present", "interac_present"]


def test_all_other_fields_are_sent(client: FlaskClient, bench: FlowBench) -> None:
    fields = {
        "description": "Fruit, für Zoë 🍎",
        "receipt_email": "zoe@example.com",
        "capture_method": "manual",
        "setup_future_usage": "off_session",
        "statement_descriptor_suffix": "FRUIT 1",
    }
    pay(client, client_id=7, metadata={"basket": "3 apples & 2 pears"}, **fields)
    made = only(bench)
    assert {name: made[name] for name in fields} == fields
    names = {"order_id": "A-1", "client_id": "7"}
    assert made["metadata"] == {"basket": "3 apples & 2 pears", **names}


def test_field_order_does_not_change_the_request(client: FlaskClient, bench: FlowBench) -> None:
    first = pay(client, currency="CAD", metadata={"a": "1", "b": "2"}, client_id=None)
    again = client.post(
        PATH,
        data=b'{"metadata":{"b":"2","a":"1"},"order_id":"A-1","currency":"cad","amount":100}',
        content_type="application/json; charset=utf-8",
    )
    assert again.get_json()["payment_intent_id"] == first.get_json()["payment_intent_id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(bench.made()) == 1


def test_field_order_does_not_matter_after_a_lost_record(bench: FlowBench) -> None:
    """Attempt 1's parameters are derived again and must be equal, or Stripe rejects the key."""
    for metadata in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}):
        forgetful = FlowBench()
        forgetful.sandbox = bench.sandbox
        app = create_app(SETTINGS, Payments(forgetful.another(), SETTINGS))
        pay(app.test_client(), metadata=metadata)
    assert len(bench.made()) == 1


def test_reused_order_and_small_amount_are_rejected(client: FlaskClient) -> None:
    pay(client)
    reused = client.post(PATH, json={**VALID, "amount": 200})
    assert (reused.status_code, reused.get_json()["code"]) == (422, "order_reused")
    small = client.post(PATH, json={"order_id": "A-2", "amount": 1})
    assert (small.status_code, small.get_json()["code"]) == (400, "amount_too_small")


def test_an_amount_of_twelve_digits_is_created_and_updated(
    client: FlaskClient, bench: FlowBench
) -> None:
    most = 999_999_999_999
    pay(client, amount=most - 1)
    updated = client.post("/update-payment-intent", json={"order_id": "A-1", "amount": most})
    assert (updated.status_code, updated.get_json()["amount"]) == (200, most)
    assert client.get("/payment-intent?order_id=A-1").get_json()["amount"] == most
    assert only(bench)["amount"] == most


def test_narrower_limits_and_currencies_are_stripes_to_reject(
    client: FlaskClient, bench: FlowBench
) -> None:
    debit = {"amount": 100_000_000, "payment_method_types": ["us_bank_account"]}
    large = client.post(PATH, json={**VALID, **debit})
    assert (large.status_code, large.get_json()["code"]) == (400, "amount_too_large")
    unknown = client.post(PATH, json={**VALID, "currency": "xyz"})
    assert unknown.status_code == 400
    assert unknown.get_json()["error"].startswith("Invalid currency: xyz.")
    pay(client, amount=100_000_000, currency="idr")
    assert only(bench)["amount"] == 100_000_000


def test_invalid_input_never_reaches_stripe(client: FlaskClient, bench: FlowBench) -> None:
    bodies = [*MALFORMED.values()]
    bodies += [json.dumps({**VALID, **fields}).encode() for _, fields in INVALID.values()]
    for body in bodies:
        response = client.post(PATH, data=body, content_type="application/json")
        assert 400 <= response.status_code < 500
    assert len(bodies) > 60
    assert bench.sandbox.log.shown_counts() == {}
    assert bench.made() == []
