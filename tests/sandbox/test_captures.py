"""Authorizations: capture, lapse, and the charge behind them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.paid_intents import CHARGES, PaidShop
from tests.support.sandbox_in_process import NOW, error

DAY = 86_400


@pytest.fixture
def shop() -> PaidShop:
    return PaidShop()


def capture_before(charge: dict[str, Any]) -> int | None:
    found: int | None = charge["payment_method_details"]["card"].get("capture_before")
    return found


def test_a_payment_has_a_captured_charge(shop: PaidShop) -> None:
    intent = shop.pay(**{"metadata[order_id]": "A-1"})
    charge = shop.charge(intent)
    assert (charge["status"], charge["paid"], charge["captured"]) == ("succeeded", True, True)
    assert (charge["amount"], charge["amount_captured"], charge["amount_refunded"]) == (
        1099,
        1099,
        0,
    )
    assert charge["payment_intent"] == intent["id"]
    assert charge["metadata"] == {"order_id": "A-1"}
    assert charge["balance_transaction"].startswith("txn_")


def test_a_declined_payment_has_a_failed_charge(shop: PaidShop) -> None:
    intent = shop.create()
    shop.act(intent["id"], "confirm", payment_method="pm_card_chargeDeclined")
    charge = shop.charge(intent)
    assert (charge["status"], charge["failure_code"]) == ("failed", "card_declined")
    assert charge["paid"] is charge["captured"] is False


@pytest.mark.parametrize(
    ("method", "status"),
    [("pm_usBankAccount", "succeeded"), ("pm_usBankAccount_insufficientFunds", "failed")],
)
def test_a_bank_debit_keeps_its_charge(shop: PaidShop, method: str, status: str) -> None:
    intent = shop.pay(method)
    pending = shop.charge(intent)
    assert (pending["id"][:3], pending["status"]) == ("py_", "pending")
    shop.now += 4 * DAY
    ended = shop.charge(intent)
    assert (ended["id"], ended["status"]) == (pending["id"], status)


def test_an_authorization_can_be_captured_for_seven_days(shop: PaidShop) -> None:
    charge = shop.charge(shop.authorize())
    assert (charge["status"], charge["captured"]) == ("succeeded", False)
    assert capture_before(charge) == int(NOW) + 7 * DAY
    assert charge["amount_captured"] == 0


def test_a_partial_capture_releases_the_rest(shop: PaidShop) -> None:
    intent = shop.authorize()
    captured = shop.act(intent["id"], "capture", amount_to_capture=1000).json()
    assert (captured["status"], captured["amount"]) == ("succeeded", 1099)
    assert (captured["amount_received"], captured["amount_capturable"]) == (1000, 0)
    charge = shop.charge(intent)
    assert (charge["id"], charge["captured"]) == (intent["latest_charge"], True)
    assert (charge["amount_captured"], charge["amount_refunded"]) == (1000, 0)
    assert capture_before(charge) is None
    assert shop.event_types()[-3:] == [
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]


def test_a_capture_can_change_the_metadata(shop: PaidShop) -> None:
    params = {"metadata[note]": "x", "statement_descriptor_suffix": "SHOP"}
    captured = shop.act(shop.authorize()["id"], "capture", **params).json()
    assert (captured["metadata"], captured["statement_descriptor_suffix"]) == (
        {"note": "x"},
        "SHOP",
    )


@pytest.mark.parametrize(
    ("amount", "code", "param"),
    [
        (1100, "amount_too_large", None),
        (0, "parameter_invalid_integer", "amount"),
        (-1, None, "amount_to_capture"),
    ],
)
def test_an_impossible_amount_is_not_captured(
    shop: PaidShop, amount: int, code: str | None, param: str | None
) -> None:
    intent = shop.authorize()
    refused = shop.act(intent["id"], "capture", amount_to_capture=amount)
    assert refused.status == 400
    assert (error(refused).get("code"), error(refused).get("param")) == (code, param)
    assert error(refused)["payment_intent"]["id"] == intent["id"]
    assert shop.status(intent["id"]) == "requires_capture"


def test_a_second_capture_is_rejected(shop: PaidShop) -> None:
    intent = shop.authorize()
    shop.act(intent["id"], "capture", amount_to_capture=1000)
    refused = error(shop.act(intent["id"], "capture", amount_to_capture=99))
    assert refused["code"] == "payment_intent_unexpected_state"
    assert "has been released" in refused["message"]


def test_an_unpaid_intent_cannot_be_captured(shop: PaidShop) -> None:
    refused = error(shop.act(shop.create()["id"], "capture"))
    assert refused["code"] == "payment_intent_unexpected_state"
    assert "has a status of requires_payment_method" in refused["message"]


def test_multicapture_is_unavailable(shop: PaidShop) -> None:
    refused = shop.act(shop.authorize()["id"], "capture", final_capture="false")
    assert error(refused)["param"] == "final_capture"


def test_an_authorization_lapses(shop: PaidShop) -> None:
    intent = shop.authorize()
    shop.now += 7 * DAY - 1
    assert shop.status(intent["id"]) == "requires_capture"
    shop.now += 1
    lapsed = shop.intent(intent["id"])
    assert (lapsed["status"], lapsed["cancellation_reason"]) == ("canceled", "automatic")
    assert (lapsed["amount_capturable"], lapsed["canceled_at"]) == (0, int(NOW) + 7 * DAY)
    assert shop.event_types()[-2:] == ["charge.expired", "payment_intent.canceled"]
    refused = error(shop.act(intent["id"], "capture"))
    assert refused["code"] == "payment_intent_unexpected_state"


@pytest.mark.parametrize("verb", ["capture", "cancel"])
def test_a_finished_authorization_does_not_lapse(shop: PaidShop, verb: str) -> None:
    intent = shop.authorize()
    ended = shop.act(intent["id"], verb).json()
    shop.now += 30 * DAY
    assert shop.intent(intent["id"]) == ended


def test_the_validity_of_authorizations_is_a_setting() -> None:
    shop = PaidShop(authorization_seconds=60)
    intent = shop.authorize()
    shop.now += 60
    assert shop.status(intent["id"]) == "canceled"


def test_charges_are_listed_by_payment_intent(shop: PaidShop) -> None:
    intent = shop.create()
    shop.act(intent["id"], "confirm", payment_method="pm_card_chargeDeclined")
    shop.now += 1
    paid = shop.act(intent["id"], "confirm", payment_method="pm_card_visa").json()
    other = shop.pay(customer="cus_other")
    charges = shop.ids(CHARGES, payment_intent=intent["id"])
    assert (len(charges), charges[0]) == (2, paid["latest_charge"])
    assert shop.ids(CHARGES, customer="cus_other") == [other["latest_charge"]]
    assert len(shop.ids(CHARGES)) == 3


def test_latest_charge_can_be_expanded(shop: PaidShop) -> None:
    intent = shop.pay()
    shop.refunded(intent, amount=100)
    expand = {"expand[]": "latest_charge"}
    assert shop.intent(intent["id"], **expand)["latest_charge"] == shop.charge(intent)
    listed = shop.get("/v1/payment_intents", {"expand[]": "data.latest_charge"}).json()["data"]
    assert listed[0]["latest_charge"]["amount_refunded"] == 100
    deep = shop.intent(intent["id"], **{"expand[]": "latest_charge.refunds"})["latest_charge"]
    assert [each["amount"] for each in deep["refunds"]["data"]] == [100]
    assert isinstance(shop.intent(intent["id"])["latest_charge"], str)


def test_an_expansion_without_a_charge_is_null(shop: PaidShop) -> None:
    intent = shop.create(**{"expand[]": "latest_charge"})
    assert intent["latest_charge"] is None


@pytest.mark.parametrize("path", ["id", "latest_charge.amount", "data.latest_charge", ""])
def test_an_unknown_expansion_is_rejected(shop: PaidShop, path: str) -> None:
    intent = shop.pay()
    refused = shop.get(f"/v1/payment_intents/{intent['id']}", {"expand[]": path})
    assert (refused.status, error(refused)["param"]) == (400, "expand")


def test_an_unknown_charge_is_missing(shop: PaidShop) -> None:
    missing = shop.get(f"{CHARGES}/ch_none")
    assert (missing.status, error(missing)["code"]) == (404, "resource_missing")
