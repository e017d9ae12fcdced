"""PayPal's stand-in: refunds of Payments v2, their checks, and what the order shows of them."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.answers import Response
from sandbox.paypal import acts
from sandbox.paypal.refusals import REFUND_ISSUES, Refusal
from sandbox.paypal.rules import HOUR
from tests.support.paypal_openapi import required_description
from tests.support.paypal_shop import PayPalShop, issue


def money(value: str, currency: str = "USD") -> dict[str, Any]:
    return {"amount": {"value": value, "currency_code": currency}}


class Refunds(PayPalShop):
    """One captured order."""

    def __init__(self, plan: str = "COMPLETED", **rules: Any) -> None:
        super().__init__(**rules)
        self.order_id = self.approved(plan, custom_id="A-1")
        self.capture(self.order_id)
        self.capture_id = str(self.unit()["payments"]["captures"][0]["id"])

    def refund(self, body: Any = None, key: str | None = "refund-1", **how: Any) -> Response:
        path = f"/v2/payments/captures/{self.capture_id}/refund"
        return self.post(path, {} if body is None else body, key, **how)

    def unit(self) -> dict[str, Any]:
        found: dict[str, Any] = self.read(self.order_id).json()["purchase_units"][0]
        return found

    def shown(self) -> tuple[str, list[str]]:
        """Return the captured payment's status, and the values of its refunds."""
        payments = self.unit()["payments"]
        refunds = [each["amount"]["value"] for each in payments.get("refunds", [])]
        return payments["captures"][0]["status"], refunds


def test_refund_shows_itself_and_its_captured_payment() -> None:
    shop = Refunds()
    answer = shop.refund({**money("4.00"), "custom_id": "A-1,R-1"})
    refund = answer.json()
    assert (answer.status, refund["status"], refund["custom_id"]) == (201, "COMPLETED", "A-1,R-1")
    (up,) = [each["href"] for each in refund["links"] if each["rel"] == "up"]
    assert up.endswith(f"/v2/payments/captures/{shop.capture_id}")
    assert refund["seller_payable_breakdown"]["total_refunded_amount"]["value"] == "4.00"
    assert shop.unit()["payments"]["refunds"] == [refund]
    assert shop.shown() == ("PARTIALLY_REFUNDED", ["4.00"])
    assert shop.events()[-1] == "PAYMENT.CAPTURE.REFUNDED"


def test_refund_without_an_amount_or_a_name_has_those_of_the_payment() -> None:
    shop = Refunds()
    shop.refund(money("4.00"))
    rest = shop.refund(key="refund-2").json()
    assert (rest["amount"]["value"], rest["custom_id"]) == ("6.99", "A-1")
    assert shop.shown() == ("REFUNDED", ["4.00", "6.99"])


def test_refund_is_minimal_unless_asked_for_more() -> None:
    assert Refunds().refund(minimal=True).json().keys() == {"id", "status", "links"}
    assert "amount" not in Refunds(minimal_refunds=True).refund().json()


def test_repeat_shows_the_refund_as_it_is_now_for_45_days() -> None:
    shop = Refunds()
    first = shop.refund(money("4.00")).json()
    acts.change_refund(shop.sandbox, shop.order_id, "FAILED")
    shop.now += 45 * 24 * HOUR - 1
    shop.token = shop.new_token()
    again = shop.refund(money("4.00"))
    assert (again.status, again.json()["id"], again.json()["status"]) == (
        200,
        first["id"],
        "FAILED",
    )
    shop.now += 1
    assert shop.refund(money("4.00")).json()["id"] != first["id"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (money("10.00"), "REFUND_AMOUNT_EXCEEDED"),
        (money("1.00", "EUR"), "REFUND_CAPTURE_CURRENCY_MISMATCH"),
        (money("0.00"), "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (money("1.001"), "DECIMAL_PRECISION"),
        ({"custom_id": "x" * 128}, "INVALID_STRING_LENGTH"),
        ({"reason": "x"}, "NOT_SUPPORTED"),
        ({"amount": "1.00"}, "INVALID_PARAMETER_SYNTAX"),
    ],
)
def test_wrong_refund_is_rejected(body: Any, expected: str) -> None:
    shop = Refunds()
    shop.refund(money("4.00"))
    assert issue(shop.refund(body, "refund-2")) == expected
    assert shop.shown() == ("PARTIALLY_REFUNDED", ["4.00"])


def test_nothing_is_left_of_a_refunded_payment() -> None:
    shop = Refunds()
    shop.refund()
    assert issue(shop.refund(money("0.01"), "refund-2")) == "CAPTURE_FULLY_REFUNDED"


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("PENDING", "PENDING_CAPTURE"),
        ("DECLINED", "REFUND_NOT_ALLOWED"),
        ("FAILED", "REFUND_NOT_ALLOWED"),
    ],
)
def test_payment_without_money_is_not_refunded(plan: str, expected: str) -> None:
    assert issue(Refunds(plan).refund()) == expected


def test_unknown_payment_and_another_accounts_are_not_found() -> None:
    shop = Refunds()
    shop.token = shop.new_token("app-2")
    assert shop.refund().status == 404
    shop.token, shop.capture_id = shop.new_token(), "X"
    assert (shop.refund().status, issue(shop.refund())) == (404, "INVALID_RESOURCE_ID")


def test_refund_without_a_request_id_is_rejected() -> None:
    assert issue(Refunds().refund(key=None)) == "PAYPAL_REQUEST_ID_REQUIRED"


@pytest.mark.parametrize("planned", sorted(REFUND_ISSUES))
def test_rejection_is_planned_and_kept_under_no_id(planned: str) -> None:
    shop = Refunds()
    acts.plan_refunds(shop.sandbox, shop.order_id, planned)
    assert issue(shop.refund(money("4.00"))) == planned
    acts.plan_refunds(shop.sandbox, shop.order_id, "COMPLETED")
    assert shop.refund(money("4.00")).status == 201


@pytest.mark.parametrize(("fault", "made"), [("with", True), ("without", False)])
def test_500_has_an_effect_or_none(fault: str, made: bool) -> None:
    shop = Refunds()
    shop.fault(f"error_500_{fault}_object", "/v2/payments/")
    assert shop.refund(money("4.00")).status == 500
    assert shop.shown()[1] == ["4.00"] * made
    assert shop.refund(money("4.00")).status == (200 if made else 201)
    assert shop.shown()[1] == ["4.00"]


@pytest.mark.parametrize(
    ("status", "event", "capture"),
    [
        ("COMPLETED", "PAYMENT.CAPTURE.REFUNDED", "PARTIALLY_REFUNDED"),
        ("FAILED", "PAYMENT.REFUND.FAILED", "COMPLETED"),
        ("CANCELLED", "PAYMENT.REFUND.FAILED", "COMPLETED"),
    ],
)
def test_pending_refund_ends(status: str, event: str, capture: str) -> None:
    shop = Refunds()
    acts.plan_refunds(shop.sandbox, shop.order_id, "PENDING")
    refund = shop.refund(money("4.00")).json()
    assert (refund["status"], shop.events()[-1]) == ("PENDING", "PAYMENT.REFUND.PENDING")
    assert shop.shown()[0] == "PARTIALLY_REFUNDED"
    acts.change_refund(shop.sandbox, shop.order_id, status)
    assert (shop.events()[-1], shop.shown()[0]) == (event, capture)


def test_dashboard_refunds_without_the_api() -> None:
    shop = Refunds()
    acts.refund(shop.sandbox, shop.order_id, "4.00")
    acts.refund(shop.sandbox, shop.order_id)
    assert shop.shown() == ("REFUNDED", ["4.00", "6.99"])
    with pytest.raises(Refusal):
        acts.refund(shop.sandbox, shop.order_id)


@pytest.mark.parametrize("act", [acts.plan_refunds, acts.change_refund])
def test_act_with_an_unknown_status_changes_nothing(act: Any) -> None:
    shop = Refunds()
    with pytest.raises(KeyError):
        act(shop.sandbox, shop.order_id, "GONE")


def test_act_on_a_refund_needs_one() -> None:
    shop = Refunds()
    with pytest.raises(ValueError, match="no refund"):
        acts.change_refund(shop.sandbox, shop.order_id, "FAILED")


def test_refunded_order_fits_paypals_description() -> None:
    described, shop = required_description(), Refunds()
    shop.refund({**money("4.00"), "custom_id": "A-1,R-1"})
    acts.change_refund(shop.sandbox, shop.order_id, "FAILED")
    shop.read(shop.order_id)
    assert ("GET", "/v2/checkout/orders/{id}", 200) in described.checked
