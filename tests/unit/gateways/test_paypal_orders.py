"""PayPal's order object: its status, and the checks against the request."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from payment_service.gateways.intent import Failure
from payment_service.gateways.paypal.orders import Expected, read_order
from payment_service.gateways.send import UNREADABLE
from payment_service.key_store.contract import Order

ORDER_ID = "8FK52917XN4017342"
PARAMS = {
    "amount": 1099,
    "currency": "usd",
    "custom_id": "shop-7:A-1",
    "invoice_id": "A-1-6b1f0c2d9e4a7788",
}
EXPECTED = Expected(PARAMS, livemode=False, id=ORDER_ID)
AMOUNT = {"currency_code": "USD", "value": "10.99"}
FOUND: dict[str, Any] = {
    "id": ORDER_ID,
    "intent": "CAPTURE",
    "status": "PAYER_ACTION_REQUIRED",
    "create_time": "2026-11-29T10:00:00Z",
    "purchase_units": [
        {
            "reference_id": "default",
            "custom_id": "shop-7:A-1",
            "invoice_id": "A-1-6b1f0c2d9e4a7788",
            "amount": AMOUNT,
        }
    ],
    "links": [
        {"href": f"https://api-m.paypal.com/v2/checkout/orders/{ORDER_ID}", "rel": "self"},
        {"href": f"https://www.paypal.com/checkoutnow?token={ORDER_ID}", "rel": "payer-action"},
    ],
}


def found(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(FOUND), **changes}


def captured(status: str, **changes: Any) -> dict[str, Any]:
    """Return a captured order as PayPal's own example has it, without the unit's names."""
    capture = {
        "id": "3C679366HH908993F",
        "status": status,
        "amount": AMOUNT,
        "custom_id": "shop-7:A-1",
        "invoice_id": "A-1-6b1f0c2d9e4a7788",
        **changes,
    }
    unit = {"reference_id": "default", "payments": {"captures": [capture]}}
    return {"id": ORDER_ID, "status": "COMPLETED", "purchase_units": [unit]}


@pytest.mark.parametrize(
    ("order", "status", "received"),
    [
        (found(status="CREATED"), "requires_action", 0),
        (found(status="SAVED"), "requires_action", 0),
        (found(), "requires_action", 0),
        (found(status="APPROVED"), "requires_capture", 0),
        (found(status="VOIDED"), "canceled", 0),
        (captured("COMPLETED"), "succeeded", 1099),
        (captured("REFUNDED"), "succeeded", 1099),
        (captured("PARTIALLY_REFUNDED"), "succeeded", 1099),
        (captured("PENDING"), "processing", 0),
        (captured("DECLINED"), "canceled", 0),
        (captured("FAILED"), "canceled", 0),
    ],
)
def test_each_status_becomes_ours(order: dict[str, Any], status: str, received: int) -> None:
    intent = read_order(order, EXPECTED)
    assert (intent.status, intent.amount_received) == (status, received)
    assert (intent.amount, intent.currency) == (1099, "usd")


def test_the_last_capture_decides() -> None:
    order = captured("DECLINED")
    captures = order["purchase_units"][0]["payments"]["captures"]
    captures.append({**captures[0], "status": "COMPLETED"})
    assert read_order(order, EXPECTED).status == "succeeded"


def test_an_intent_names_its_order_and_its_page() -> None:
    intent = read_order(found(), EXPECTED)
    assert intent.is_of(Order(False, "shop-7", "A-1"))
    assert intent.redirect_url == f"https://www.paypal.com/checkoutnow?token={ORDER_ID}"
    assert intent.created == 1795946400
    assert intent.client_secret == ""
    assert "checkoutnow" not in repr(intent)


def test_a_declined_capture_is_a_failure_with_its_reason() -> None:
    order = captured("DECLINED", status_details={"reason": "PENDING_REVIEW"})
    failure = read_order(order, EXPECTED).failure
    assert failure == Failure("3C679366HH908993F", "PENDING_REVIEW")
    assert read_order(captured("COMPLETED"), EXPECTED).failure is None


@pytest.mark.parametrize(
    ("rels", "chosen"),
    [
        (["payer-action", "approve"], "payer-action"),
        (["approve", "payer-action"], "payer-action"),
        (["approve"], "approve"),
        (["self"], None),
        ([], None),
    ],
)
def test_the_link_is_payer_action_or_else_approve(rels: list[str], chosen: str | None) -> None:
    links = [{"href": f"https://x/{rel}?token={ORDER_ID}", "rel": rel} for rel in rels]
    expected = chosen and f"https://x/{chosen}?token={ORDER_ID}"
    assert read_order(found(links=links), EXPECTED).redirect_url == expected


@pytest.mark.parametrize(
    "href",
    ["https://www.paypal.com/checkoutnow?token=9XX", f"javascript:alert('{ORDER_ID}')", 7, ""],
)
def test_a_link_of_another_order_is_not_given_out(href: Any) -> None:
    links = [{"href": href, "rel": "payer-action"}]
    assert read_order(found(links=links), EXPECTED).redirect_url is None


UNIT = FOUND["purchase_units"][0]


@pytest.mark.parametrize(
    "order",
    [
        None,
        [],
        "text",
        {},
        found(id="9XX"),
        found(id="8fk"),
        found(id=7),
        found(intent="AUTHORIZE"),
        found(status="DONE"),
        found(status=None),
        found(status="COMPLETED"),
        found(purchase_units=[]),
        found(purchase_units=[UNIT, UNIT]),
        found(purchase_units=[{**UNIT, "custom_id": "shop-7:A-2"}]),
        found(purchase_units=[{**UNIT, "custom_id": "A-1"}]),
        found(purchase_units=[{k: v for k, v in UNIT.items() if k != "custom_id"}]),
        found(purchase_units=[{**UNIT, "invoice_id": "A-2-0000000000000000"}]),
        found(purchase_units=[{k: v for k, v in UNIT.items() if k != "amount"}]),
        found(purchase_units=[{**UNIT, "amount": {**AMOUNT, "value": "10.98"}}]),
        found(purchase_units=[{**UNIT, "amount": {**AMOUNT, "value": "1099"}}]),
        found(purchase_units=[{**UNIT, "amount": {**AMOUNT, "currency_code": "CAD"}}]),
        found(purchase_units=[{**UNIT, "amount": None}]),
        found(purchase_units=None),
        found(links=[{}]),
        captured("UNHEARD_OF"),
        captured("COMPLETED", amount={**AMOUNT, "value": "1.00"}),
        captured("COMPLETED", custom_id="shop-7:A-2"),
    ],
)
def test_an_answer_about_anything_else_is_unreadable(order: Any) -> None:
    with pytest.raises(UNREADABLE):
        read_order(order, EXPECTED)


@pytest.mark.parametrize("moment", ["yesterday", None, 7, ""])
def test_an_order_without_its_time_is_readable(moment: Any) -> None:
    assert read_order(found(create_time=moment), EXPECTED).created == 0


def test_a_new_order_may_have_any_id() -> None:
    assert read_order(found(id="9XX"), Expected(PARAMS, livemode=True)).livemode
