"""Refunds (docs.stripe.com/refunds): amounts, statuses, Events, lists and errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.paid_intents import REFUNDS, PaidShop
from tests.support.sandbox_in_process import NOW, error

HOUR, DAY = 3_600, 86_400


@pytest.fixture
def shop() -> PaidShop:
    return PaidShop()


def left(shop: PaidShop, intent: dict[str, Any]) -> int:
    charge = shop.charge(intent)
    return int(charge["amount_captured"] - charge["amount_refunded"])


def test_a_refund_without_an_amount_refunds_everything(shop: PaidShop) -> None:
    intent = shop.pay()
    refund = shop.refunded(intent, reason="duplicate", **{"metadata[refund_id]": "R-1"})
    assert (refund["amount"], refund["status"]) == (1099, "succeeded")
    assert (refund["payment_intent"], refund["charge"]) == (intent["id"], intent["latest_charge"])
    assert (refund["reason"], refund["metadata"]) == ("duplicate", {"refund_id": "R-1"})
    assert (refund["created"], refund["currency"]) == (int(NOW), "usd")
    charge = shop.charge(intent)
    assert (charge["amount_refunded"], charge["refunded"]) == (1099, True)
    assert shop.intent(intent["id"])["status"] == "succeeded"
    assert shop.event_types()[-2:] == ["refund.created", "charge.refunded"]


def test_partial_refunds_add_up(shop: PaidShop) -> None:
    intent = shop.pay()
    shop.refunded(intent, amount=600)
    assert shop.charge(intent)["refunded"] is False
    assert shop.refunded(intent)["amount"] == 499
    assert shop.charge(intent)["refunded"] is True


def test_a_charge_can_be_refunded_by_its_id(shop: PaidShop) -> None:
    intent = shop.pay()
    refund = shop.post(REFUNDS, {"charge": intent["latest_charge"]}).json()
    assert refund["payment_intent"] == intent["id"]


def test_only_the_captured_part_can_be_refunded(shop: PaidShop) -> None:
    intent = shop.authorize()
    shop.act(intent["id"], "capture", amount_to_capture=1000)
    assert shop.refunded(intent)["amount"] == 1000
    assert shop.charge(intent)["refunded"] is True


def test_more_than_is_left_is_rejected(shop: PaidShop) -> None:
    intent = shop.pay()
    shop.refunded(intent, amount=1000)
    refused = shop.refund(intent, amount=100)
    assert refused.status == 400
    assert error(refused) == {
        "message": "Refund amount ($1.00) is greater than unrefunded amount on charge ($0.99)",
        "param": "amount",
        "type": "invalid_request_error",
    }
    assert left(shop, intent) == 99


def test_a_refunded_charge_is_not_refunded_again(shop: PaidShop) -> None:
    intent = shop.pay()
    shop.refunded(intent)
    refused = error(shop.refund(intent))
    assert refused["code"] == "charge_already_refunded"
    assert refused["message"] == f"Charge {intent['latest_charge']} has already been refunded."


@pytest.mark.parametrize(
    ("params", "status", "code", "param"),
    [
        ({}, 400, None, None),
        ({"payment_intent": "pi_none"}, 400, "resource_missing", "payment_intent"),
        ({"charge": "ch_none"}, 404, "resource_missing", "id"),
        ({"charge": "ch_1", "amount": "0"}, 400, "parameter_invalid_integer", "amount"),
        ({"charge": "ch_1", "amount": "-5"}, 400, "parameter_invalid_integer", "amount"),
        ({"charge": "ch_1", "reason": "expired_uncaptured_charge"}, 400, None, "reason"),
        ({"charge": "ch_1", "colour": "red"}, 400, "parameter_unknown", "colour"),
    ],
)
def test_an_invalid_refund_is_rejected(
    shop: PaidShop, params: dict[str, str], status: int, code: str | None, param: str | None
) -> None:
    refused = shop.post(REFUNDS, params)
    found = error(refused)
    assert (refused.status, found.get("code"), found.get("param")) == (status, code, param)


def test_an_unpaid_intent_cannot_be_refunded(shop: PaidShop) -> None:
    open_, declined, debit = shop.create(), shop.create(), shop.pay("pm_usBankAccount")
    shop.act(declined["id"], "confirm", payment_method="pm_card_chargeDeclined")
    for intent in (open_, declined, debit):
        refused = shop.refund(intent)
        assert refused.status == 400
        assert "does not have a successful charge to refund" in error(refused)["message"]


def test_an_authorization_is_canceled_instead_of_refunded(shop: PaidShop) -> None:
    refused = error(shop.refund(shop.authorize()))
    assert "You must cancel the PaymentIntent" in refused["message"]


@pytest.mark.parametrize(
    ("method", "seconds"), [("pm_card_pendingRefund", HOUR), ("pm_usBankAccount", 4 * DAY)]
)
def test_a_pending_refund_succeeds_later(shop: PaidShop, method: str, seconds: int) -> None:
    intent = shop.pay(method)
    shop.now += 4 * DAY
    refund = shop.refunded(intent, amount=1000)
    assert (refund["status"], refund["pending_reason"]) == ("pending", "processing")
    assert left(shop, intent) == 99
    shop.now += seconds - 1
    assert shop.get(f"{REFUNDS}/{refund['id']}").json() == refund
    shop.now += 1
    ended = shop.get(f"{REFUNDS}/{refund['id']}").json()
    assert (ended["status"], "pending_reason" in ended) == ("succeeded", False)
    assert shop.event_types()[-1] == "refund.updated"


def test_a_refund_can_fail_after_it_succeeded(shop: PaidShop) -> None:
    intent = shop.pay("pm_card_refundFail")
    refund = shop.refunded(intent)
    assert refund["status"] == "succeeded"
    shop.now += HOUR
    failed = shop.get(f"{REFUNDS}/{refund['id']}").json()
    assert (failed["status"], failed["failure_reason"]) == ("failed", "expired_or_canceled_card")
    assert failed["failure_balance_transaction"].startswith("txn_")
    assert shop.event_types()[-2:] == ["refund.updated", "refund.failed"]


def test_a_failed_refund_frees_its_amount(shop: PaidShop) -> None:
    intent = shop.pay("pm_card_refundFail")
    shop.refunded(intent)
    shop.now += HOUR
    charge = shop.charge(intent)
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
    assert shop.refunded(intent)["amount"] == 1099


def test_an_event_keeps_the_refund_of_its_time(shop: PaidShop) -> None:
    shop.refunded(shop.pay("pm_card_refundFail"))
    shop.now += HOUR
    events = shop.get("/v1/events", {"limit": 100}).json()["data"]
    statuses = {
        each["type"]: each["data"]["object"]["status"]
        for each in events
        if each["type"].startswith("refund.")
    }
    assert statuses == {
        "refund.created": "succeeded",
        "refund.updated": "failed",
        "refund.failed": "failed",
    }


def test_refunds_are_listed_newest_first(shop: PaidShop) -> None:
    intent, other = shop.pay(), shop.pay()
    made = [shop.refunded(intent, amount=each)["id"] for each in (1, 2, 3)][::-1]
    others = shop.refunded(other)["id"]
    of_intent = {"payment_intent": intent["id"]}
    assert shop.ids(REFUNDS, **of_intent) == made
    assert shop.ids(REFUNDS, charge=other["latest_charge"]) == [others]
    assert shop.ids(REFUNDS, **of_intent, limit=2) == made[:2]
    assert shop.ids(REFUNDS, **of_intent, limit=2, starting_after=made[0]) == made[1:]
    assert shop.ids(REFUNDS, **of_intent, limit=1, ending_before=made[2]) == [made[1]]
    assert shop.get(REFUNDS, {**of_intent, "limit": 2}).json()["has_more"] is True
    assert shop.ids(REFUNDS, **of_intent, **{"created[gt]": int(NOW)}) == []
    assert error(shop.get(REFUNDS, {"starting_after": "re_none"}))["param"] == "starting_after"


def test_a_refund_shows_its_charge_and_intent_on_request(shop: PaidShop) -> None:
    intent = shop.pay()
    refund = shop.refunded(intent, **{"expand[0]": "charge", "expand[1]": "payment_intent"})
    assert refund["charge"]["amount_refunded"] == 1099
    assert refund["payment_intent"]["id"] == intent["id"]


def test_the_objects_of_another_account_are_missing(shop: PaidShop) -> None:
    intent = shop.pay()
    refund = shop.refunded(intent)
    for path in (f"{REFUNDS}/{refund['id']}", f"/v1/charges/{intent['latest_charge']}"):
        assert shop.get(path, api_key="sk_test_other").status == 404
    assert shop.get(REFUNDS, api_key="sk_test_other").json()["data"] == []


def test_a_browser_can_neither_refund_nor_list(shop: PaidShop) -> None:
    params = {"payment_intent": shop.pay()["id"]}
    refused = shop.post(REFUNDS, params, api_key="pk_test_shop")
    assert error(refused)["code"] == "secret_key_required"
    assert shop.get(REFUNDS, api_key="pk_test_shop").status == 401


def test_a_copy_has_its_own_refunds(shop: PaidShop) -> None:
    intent = shop.pay("pm_card_refundFail")
    twin = shop.sandbox.copy()
    refund = shop.refunded(intent)
    answer = twin.handle("GET", f"{REFUNDS}/{refund['id']}", shop.headers())
    assert answer.status == 404
    later = shop.now + HOUR
    again = shop.sandbox.copy(lambda: later)
    failed = again.handle("GET", f"{REFUNDS}/{refund['id']}", shop.headers()).json()
    assert failed["status"] == "failed"
    assert shop.get(f"{REFUNDS}/{refund['id']}").json()["status"] == "succeeded"
