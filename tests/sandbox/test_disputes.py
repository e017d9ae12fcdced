"""Disputes and inquiries (docs.stripe.com/disputes), and the Dashboard's controls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.clock import MovableClock
from sandbox.control import Control
from sandbox.webhooks import WebhookSender
from tests.support.paid_intents import DISPUTES, REFUNDS, PaidShop
from tests.support.sandbox_in_process import error


class DisputedShop(PaidShop):
    """A shop with the controls of the sandbox."""

    def __init__(self) -> None:
        super().__init__()
        self._control = Control(self.sandbox, MovableClock(), WebhookSender())

    def act_on(self, path: str, **given: Any) -> Any:
        """Call a control; return its JSON, or the text of its error."""
        answer = self._control.answer("POST", f"/_sandbox/{path}", json.dumps(given).encode())
        return answer.json() if answer.status == 200 else answer.json()["error"]["message"]

    def dispute(self, intent: dict[str, Any], **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.act_on(f"payment_intents/{intent['id']}/dispute", **given)
        return found


@pytest.fixture
def shop() -> DisputedShop:
    return DisputedShop()


def test_a_dispute_withdraws_the_money(shop: DisputedShop) -> None:
    intent = shop.pay()
    dispute = shop.dispute(intent, reason="product_not_received", amount=1000)
    assert (dispute["status"], dispute["amount"]) == ("needs_response", 1000)
    assert (dispute["payment_intent"], dispute["charge"]) == (intent["id"], intent["latest_charge"])
    assert [each["amount"] for each in dispute["balance_transactions"]] == [-1000]
    assert shop.charge(intent)["disputed"] is True
    assert shop.event_types()[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert shop.get(f"{DISPUTES}/{dispute['id']}").json() == dispute


def test_a_disputed_charge_cannot_be_refunded(shop: DisputedShop) -> None:
    intent = shop.pay()
    shop.dispute(intent)
    refused = error(shop.refund(intent))
    assert refused["code"] == "charge_disputed"
    assert refused["message"].endswith("has been charged back; cannot issue a refund.")


@pytest.mark.parametrize(
    ("verbs", "status", "events", "refundable"),
    [
        (["win"], "won", ["closed", "funds_reinstated"], True),
        (["lose"], "lost", ["closed"], False),
        (["review", "win"], "won", ["updated", "closed", "funds_reinstated"], True),
        (["review", "lose"], "lost", ["updated", "closed"], False),
    ],
)
def test_a_dispute_is_closed(
    shop: DisputedShop, verbs: list[str], status: str, events: list[str], refundable: bool
) -> None:
    intent = shop.pay()
    dispute = shop.dispute(intent)
    for verb in verbs:
        closed = shop.act_on(f"disputes/{dispute['id']}/{verb}")
    assert (closed["status"], closed["is_charge_refundable"]) == (status, refundable)
    assert shop.event_types()[-len(events) :] == [f"charge.dispute.{each}" for each in events]
    assert (shop.refund(intent).status == 200) is refundable
    assert "has a status of" in shop.act_on(f"disputes/{dispute['id']}/win")


def test_an_inquiry_moves_no_money(shop: DisputedShop) -> None:
    intent = shop.pay()
    inquiry = shop.dispute(intent, inquiry=True)
    assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])
    assert inquiry["payment_method_details"]["card"]["case_type"] == "inquiry"
    assert shop.event_types()[-1] == "charge.dispute.created"
    assert shop.refund(intent, amount=1).status == 200
    closed = shop.act_on(f"disputes/{inquiry['id']}/win")
    assert (closed["status"], closed["balance_transactions"]) == ("warning_closed", [])


def test_an_inquiry_can_become_a_dispute(shop: DisputedShop) -> None:
    intent = shop.pay()
    inquiry = shop.dispute(intent, inquiry=True)
    escalated = shop.act_on(f"disputes/{inquiry['id']}/escalate")
    assert (escalated["status"], len(escalated["balance_transactions"])) == ("needs_response", 1)
    assert shop.event_types()[-2:] == ["charge.dispute.updated", "charge.dispute.funds_withdrawn"]
    assert error(shop.refund(intent))["code"] == "charge_disputed"


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("pm_card_createDispute", "needs_response", "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", "needs_response", "product_not_received"),
        ("pm_card_createDisputeInquiry", "warning_needs_response", "fraudulent"),
    ],
)
@pytest.mark.parametrize("manual", [False, True])
def test_test_cards_open_disputes(
    shop: DisputedShop, method: str, status: str, reason: str, manual: bool
) -> None:
    intent = shop.authorize(method) if manual else shop.pay(method)
    if manual:
        assert shop.ids(DISPUTES) == []
        shop.act(intent["id"], "capture")
    (dispute,) = shop.get(DISPUTES, {"payment_intent": intent["id"]}).json()["data"]
    assert (dispute["status"], dispute["reason"], dispute["amount"]) == (status, reason, 1099)
    types = shop.event_types()
    assert types.index("charge.dispute.created") < types.index("payment_intent.succeeded")


def test_a_dispute_fails_a_pending_refund(shop: DisputedShop) -> None:
    intent = shop.pay("pm_card_pendingRefund")
    refund = shop.refunded(intent, amount=100)
    shop.dispute(intent)
    failed = shop.get(f"{REFUNDS}/{refund['id']}").json()
    assert (failed["status"], failed["failure_reason"]) == (
        "failed",
        "charge_for_pending_refund_disputed",
    )


def test_disputes_are_listed(shop: DisputedShop) -> None:
    first, second = shop.pay(), shop.pay()
    disputes = [shop.dispute(each)["id"] for each in (first, second)]
    assert shop.ids(DISPUTES) == disputes[::-1]
    assert shop.ids(DISPUTES, payment_intent=first["id"]) == disputes[:1]
    assert shop.ids(DISPUTES, charge=second["latest_charge"]) == disputes[1:]
    expanded = shop.get(f"{DISPUTES}/{disputes[0]}", {"expand[]": "charge"}).json()
    assert expanded["charge"]["disputed"] is True


def test_the_dashboard_refunds_a_payment(shop: DisputedShop) -> None:
    intent = shop.pay()
    path = f"payment_intents/{intent['id']}/refund"
    refund = shop.act_on(path, amount=100, reason="requested_by_customer")
    assert (refund["amount"], refund["metadata"]) == (100, {})
    assert shop.ids(REFUNDS, payment_intent=intent["id"]) == [refund["id"]]
    assert shop.event_types()[-2:] == ["refund.created", "charge.refunded"]
    assert shop.act_on(path)["amount"] == 999
    assert "already been refunded" in shop.act_on(path)


@pytest.mark.parametrize(
    ("verbs", "status", "left"),
    [
        (["succeed"], "succeeded", 0),
        (["fail"], "failed", 1099),
        (["succeed", "fail"], "failed", 1099),
        (["cancel"], "canceled", 1099),
        (["require_action", "cancel"], "canceled", 1099),
        (["require_action", "succeed"], "succeeded", 0),
    ],
)
def test_a_control_ends_a_pending_refund(
    shop: DisputedShop, verbs: list[str], status: str, left: int
) -> None:
    intent = shop.pay("pm_card_pendingRefund")
    refund = shop.refunded(intent)
    for verb in verbs:
        ended = shop.act_on(f"refunds/{refund['id']}/{verb}")
    assert ended["status"] == status
    shop.now += 86_400
    assert shop.get(f"{REFUNDS}/{refund['id']}").json() == ended
    assert 1099 - shop.charge(intent)["amount_refunded"] == left


def test_a_control_names_the_reason_of_a_failure(shop: DisputedShop) -> None:
    refund = shop.refunded(shop.pay())
    path = f"refunds/{refund['id']}/fail"
    assert "reason must be" in shop.act_on(path, reason="bad mood")
    failed = shop.act_on(path, reason="lost_or_stolen_card")
    assert failed["failure_reason"] == "lost_or_stolen_card"
    assert "has a status of failed" in shop.act_on(path)


@pytest.mark.parametrize(
    "path",
    [
        "payment_intents/pi_none/refund",
        "payment_intents/pi_none/dispute",
        "refunds/re_none/fail",
        "disputes/du_none/win",
    ],
)
def test_a_control_rejects_an_unknown_object(shop: DisputedShop, path: str) -> None:
    assert "no such object" in shop.act_on(path)


def test_an_unpaid_intent_can_be_neither_refunded_nor_disputed(shop: DisputedShop) -> None:
    unpaid, authorized = shop.create(), shop.authorize()
    assert "does not have a successful charge" in str(shop.dispute(unpaid))
    assert "has not been captured" in str(shop.dispute(authorized))
    assert shop.ids(DISPUTES) == []
