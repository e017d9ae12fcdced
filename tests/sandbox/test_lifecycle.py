"""The states of a PaymentIntent (docs.stripe.com/payments/paymentintents/lifecycle)."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.dashboard import delete_intent
from tests.support.sandbox_in_process import INTENTS, NOW, Shop, error

DAYS = 86_400


@pytest.fixture
def shop() -> Shop:
    return Shop()


def processing(shop: Shop, method: str = "pm_usBankAccount") -> str:
    types = {"automatic_payment_methods[allow_redirects]": "never"}
    made = shop.create(confirm="true", payment_method=method, **types)
    assert made["status"] == "processing"
    return str(made["id"])


def acting(shop: Shop) -> dict[str, Any]:
    return shop.create(confirm="true", payment_method="pm_card_authenticationRequired")


def test_a_new_intent_requires_a_payment_method(shop: Shop) -> None:
    intent = shop.create(**{"metadata[order_id]": "A-1"})
    assert intent["status"] == "requires_payment_method"
    assert intent["id"].startswith("pi_")
    assert intent["client_secret"].startswith(f"{intent['id']}_secret_")
    assert (intent["created"], intent["livemode"]) == (int(NOW), False)
    assert intent["metadata"] == {"order_id": "A-1"}


def test_an_intent_with_a_method_requires_confirmation(shop: Shop) -> None:
    assert shop.create(payment_method="pm_card_visa")["status"] == "requires_confirmation"


def test_a_valid_card_succeeds(shop: Shop) -> None:
    intent = shop.create()
    paid = shop.act(intent["id"], "confirm", payment_method="pm_card_visa").json()
    assert (paid["status"], paid["amount_received"]) == ("succeeded", 1099)
    assert paid["latest_charge"].startswith("ch_")
    assert shop.events() == ["created", "succeeded"]


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ],
)
def test_another_card_can_pay_after_a_decline(
    shop: Shop, method: str, code: str, decline_code: str | None
) -> None:
    intent = shop.create()
    declined = shop.act(intent["id"], "confirm", payment_method=method)
    assert declined.status == 402
    assert (error(declined)["code"], error(declined).get("decline_code")) == (code, decline_code)
    assert error(declined)["payment_intent"]["last_payment_error"]["code"] == code
    assert shop.status(intent["id"]) == "requires_payment_method"
    assert shop.act(intent["id"], "confirm", payment_method="pm_card_visa").status == 200
    assert shop.events() == ["created", "payment_failed", "succeeded"]


def test_a_decline_at_creation_keeps_the_intent(shop: Shop) -> None:
    params = {"amount": 1099, "currency": "usd", "confirm": "true", "off_session": "true"}
    declined = shop.post(INTENTS, {**params, "payment_method": "pm_card_chargeDeclined"})
    left = error(declined)["payment_intent"]["id"]
    assert shop.status(left) == "requires_payment_method"


def test_authentication_requires_an_action(shop: Shop) -> None:
    intent = acting(shop)
    assert intent["status"] == "requires_action"
    assert intent["next_action"]["type"] == "redirect_to_url"
    assert shop.events() == ["created", "requires_action"]


def test_authentication_off_session_is_declined(shop: Shop) -> None:
    intent = shop.create()
    params = {"payment_method": "pm_card_authenticationRequired", "off_session": "true"}
    assert error(shop.act(intent["id"], "confirm", **params))["code"] == "authentication_required"


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        ("pm_usBankAccount", "succeeded"),
        ("pm_usBankAccount_insufficientFunds", "requires_payment_method"),
    ],
)
def test_ach_settles_or_fails_after_four_days(shop: Shop, method: str, outcome: str) -> None:
    intent_id = processing(shop, method)
    shop.now += 4 * DAYS - 1
    assert shop.status(intent_id) == "processing"
    shop.now += 1
    assert shop.status(intent_id) == outcome


def test_a_settlement_event_has_the_time_of_settlement(shop: Shop) -> None:
    processing(shop)
    shop.now += 30 * DAYS
    latest = shop.get("/v1/events", {"limit": 1}).json()["data"][0]
    assert (latest["type"], latest["created"]) == (
        "payment_intent.succeeded",
        int(NOW) + 4 * DAYS,
    )


def test_acss_debit_is_processing(shop: Shop) -> None:
    mandate = "payment_method_options[acss_debit][mandate_options]"
    params = {
        "amount": 2500,
        "currency": "cad",
        "allowed_payment_method_types[]": "acss_debit",
        f"{mandate}[payment_schedule]": "sporadic",
        f"{mandate}[transaction_type]": "personal",
        "payment_method": "pm_acssDebit",
        "confirm": "true",
    }
    assert shop.post(INTENTS, params).json()["status"] == "processing"


def test_manual_capture_receives_the_captured_amount(shop: Shop) -> None:
    intent = shop.create(capture_method="manual", payment_method="pm_card_visa", confirm="true")
    assert (intent["status"], intent["amount_capturable"]) == ("requires_capture", 1099)
    captured = shop.act(intent["id"], "capture", amount_to_capture=1000).json()
    assert (captured["status"], captured["amount_received"]) == ("succeeded", 1000)
    assert error(shop.act(intent["id"], "capture"))["code"] == "payment_intent_unexpected_state"


def test_more_than_authorized_cannot_be_captured(shop: Shop) -> None:
    intent = shop.create(capture_method="manual", payment_method="pm_card_visa", confirm="true")
    refused = shop.act(intent["id"], "capture", amount_to_capture=1100)
    assert error(refused)["code"] == "amount_too_large"


def test_an_open_intent_can_be_canceled(shop: Shop) -> None:
    intent = shop.create()
    canceled = shop.act(intent["id"], "cancel", cancellation_reason="duplicate").json()
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "duplicate")
    assert canceled["canceled_at"] == int(NOW)
    assert shop.events() == ["created", "canceled"]


def test_a_canceled_intent_stays_canceled(shop: Shop) -> None:
    intent_id = shop.create()["id"]
    shop.act(intent_id, "cancel")
    for verb, params in (("cancel", {}), ("confirm", {"payment_method": "pm_card_visa"})):
        refused = shop.act(intent_id, verb, **params)
        assert error(refused)["code"] == "payment_intent_unexpected_state"
        assert error(refused)["payment_intent"]["status"] == "canceled"


def test_succeeded_and_processing_cannot_be_canceled(shop: Shop) -> None:
    paid = shop.create(payment_method="pm_card_visa", confirm="true")["id"]
    for intent_id in (paid, processing(shop)):
        assert error(shop.act(intent_id, "cancel"))["code"] == "payment_intent_unexpected_state"


def test_a_succeeded_intent_cannot_be_confirmed(shop: Shop) -> None:
    paid = shop.create(payment_method="pm_card_visa", confirm="true")["id"]
    refused = shop.act(paid, "confirm", payment_method="pm_card_visa")
    assert error(refused)["code"] == "payment_intent_unexpected_state"


def test_confirm_requires_a_payment_method(shop: Shop) -> None:
    refused = shop.act(shop.create()["id"], "confirm")
    assert "missing a payment method" in error(refused)["message"]


def test_automatic_payment_methods_require_a_return_url(shop: Shop) -> None:
    made = shop.post(INTENTS, {"amount": 1099, "currency": "usd"}).json()
    assert made["automatic_payment_methods"] == {"allow_redirects": "always", "enabled": True}
    refused = shop.act(made["id"], "confirm", payment_method="pm_card_visa")
    assert "return_url" in error(refused)["message"]


def test_a_method_of_another_type_is_rejected(shop: Shop) -> None:
    params = {"amount": 1099, "currency": "usd", "allowed_payment_method_types[]": "card"}
    made = shop.post(INTENTS, params).json()
    refused = shop.act(made["id"], "confirm", payment_method="pm_usBankAccount")
    assert error(refused)["param"] == "payment_method"


def test_unknown_ids_are_missing_resources(shop: Shop) -> None:
    assert shop.get(f"{INTENTS}/pi_none").status == 404
    unknown = shop.act(shop.create()["id"], "confirm", payment_method="pm_none")
    assert error(unknown)["code"] == "resource_missing"
    params = {"amount": 1099, "currency": "usd", "customer": "cus_missing"}
    assert error(shop.post(INTENTS, params))["code"] == "resource_missing"


def test_an_open_intent_can_be_updated(shop: Shop) -> None:
    intent = shop.create(**{"metadata[a]": "1", "metadata[b]": "2"})
    changed = shop.post(
        f"{INTENTS}/{intent['id']}",
        {"amount": 2000, "metadata[b]": "", "metadata[c]": "3", "description": "x"},
    ).json()
    assert (changed["amount"], changed["description"]) == (2000, "x")
    assert changed["metadata"] == {"a": "1", "c": "3"}


def test_only_notes_of_a_paid_intent_can_be_updated(shop: Shop) -> None:
    path = f"{INTENTS}/{shop.create(payment_method='pm_card_visa', confirm='true')['id']}"
    assert error(shop.post(path, {"amount": 1}))["code"] == "payment_intent_unexpected_state"
    assert shop.post(path, {"metadata[note]": "x"}).json()["metadata"] == {"note": "x"}


def test_test_card_numbers_are_supported(shop: Shop) -> None:
    intent = shop.create()
    data = {"payment_method_data[type]": "card"}
    number = "payment_method_data[card][number]"
    wrong = shop.act(intent["id"], "confirm", **data, **{number: "4111"})
    assert error(wrong)["code"] == "incorrect_number"
    paid = shop.act(intent["id"], "confirm", **data, **{number: "4242 4242 4242 4242"}).json()
    assert (paid["status"], paid["payment_method"][:3]) == ("succeeded", "pm_")


def test_a_browser_needs_the_client_secret(shop: Shop) -> None:
    intent = shop.create(**{"metadata[order_id]": "A-1"})
    path, browser = f"{INTENTS}/{intent['id']}", "pk_test_shop"
    seen = shop.get(path, {"client_secret": intent["client_secret"]}, api_key=browser).json()
    assert seen["status"] == "requires_payment_method"
    assert "metadata" not in seen
    assert shop.get(path, api_key=browser).status == 400
    assert shop.get(path, {"client_secret": "pi_1_secret_2"}, api_key=browser).status == 400


def test_a_browser_can_confirm_but_not_create(shop: Shop) -> None:
    intent = shop.create()
    params = {"client_secret": intent["client_secret"], "payment_method": "pm_card_visa"}
    paid = shop.post(f"{INTENTS}/{intent['id']}/confirm", params, api_key="pk_test_shop")
    assert paid.json()["status"] == "succeeded"
    refused = shop.post(INTENTS, {"amount": 1099, "currency": "usd"}, api_key="pk_test_shop")
    assert (refused.status, error(refused)["code"]) == (401, "secret_key_required")


def test_a_decline_shows_a_browser_no_metadata(shop: Shop) -> None:
    intent = shop.create(**{"metadata[order_id]": "A-1"})
    params = {"client_secret": intent["client_secret"], "payment_method": "pm_card_chargeDeclined"}
    declined = shop.post(f"{INTENTS}/{intent['id']}/confirm", params, api_key="pk_test_shop")
    assert "metadata" not in error(declined)["payment_intent"]


def test_deleted_intent_is_in_no_answer(shop: Shop) -> None:
    deleted = processing(shop)
    kept = shop.create(**{"metadata[order_id]": "A-1"})["id"]
    other = shop.create(**{"metadata[order_id]": "A-1"})["id"]
    for intent_id in (deleted, other):
        delete_intent(shop.sandbox, intent_id)
        missing = shop.get(f"{INTENTS}/{intent_id}")
        assert (missing.status, error(missing)["code"]) == (404, "resource_missing")
    shop.now += 60
    listed = [each["id"] for each in shop.get(INTENTS).json()["data"]]
    found = shop.get(f"{INTENTS}/search", {"query": "metadata['order_id']:'A-1'"}).json()["data"]
    assert (listed, [each["id"] for each in found]) == ([kept], [kept])
    shop.now += 5 * DAYS
    shop.sandbox.settle()
    assert shop.get(f"{INTENTS}/{deleted}").status == 404
