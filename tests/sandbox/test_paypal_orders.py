"""PayPal's stand-in: tokens, request ids, orders, captures, and how long each lives."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sandbox.answers import Response
from sandbox.faults import FaultOrder, Match
from sandbox.paypal.acts import change_capture, void
from sandbox.paypal.core import ORDERS, Execution
from sandbox.paypal.refusals import CAPTURE_ISSUES
from sandbox.paypal.rules import HOUR
from tests.support.paypal_openapi import required_description
from tests.support.paypal_shop import CREATION, PayPalShop, issue

# Tokens.


def test_a_token_opens_its_own_account_only() -> None:
    shop = PayPalShop()
    order_id = shop.created()
    shop.token = shop.new_token("app-2")
    assert shop.read(order_id).status == 404


def test_wrong_credentials_get_no_token() -> None:
    answer = PayPalShop().ask_token(secret="invalid")
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("token", ["", "x", "A21AAx"])
def test_a_request_without_a_token_is_not_authenticated(token: str) -> None:
    shop = PayPalShop()
    shop.token = token
    answer = shop.create()
    assert (answer.status, answer.json()["name"]) == (401, "AUTHENTICATION_FAILURE")


def test_a_token_expires() -> None:
    shop = PayPalShop(token_seconds=100)
    shop.now += 99
    order_id = shop.created()
    shop.now += 1
    assert shop.read(order_id).status == 401
    shop.token = shop.new_token()
    assert shop.read(order_id).status == 200


# Creation and request ids.


def test_a_creation_shows_the_order_and_the_link() -> None:
    shop = PayPalShop()
    answer = shop.create()
    order = answer.json()
    assert (answer.status, order["status"]) == (201, "PAYER_ACTION_REQUIRED")
    assert order["purchase_units"][0]["custom_id"] == "shop-7:A-1"
    (link,) = [each["href"] for each in order["links"] if each["rel"] == "payer-action"]
    assert link.endswith(f"/checkoutnow?token={order['id']}")


def test_a_creation_is_minimal_unless_asked_for_more() -> None:
    shop = PayPalShop()
    order = shop.post(ORDERS, CREATION, minimal=True).json()
    assert order.keys() == {"id", "status", "links"}
    assert shop.read(order["id"]).json().keys() > {"purchase_units", "create_time"}


def test_a_repeat_shows_the_order_as_it_is_now() -> None:
    shop = PayPalShop()
    order_id = shop.approved()
    again = shop.create()
    assert (again.status, again.json()["id"]) == (200, order_id)
    assert again.json()["status"] == "APPROVED"


def test_a_repeat_with_other_parameters_shows_the_first_order() -> None:
    shop = PayPalShop()
    order_id = shop.created()
    again = shop.create(amount={"currency_code": "USD", "value": "20.00"})
    assert (again.status, again.json()["id"]) == (200, order_id)
    assert again.json()["purchase_units"][0]["amount"]["value"] == "10.99"


def test_a_request_id_is_forgotten_after_six_hours() -> None:
    shop = PayPalShop()
    order_id = shop.approved()
    shop.now += 6 * HOUR - 1
    shop.token = shop.new_token()
    assert shop.create().json()["id"] == order_id
    shop.now += 1
    assert shop.created() != order_id


def test_a_request_id_belongs_to_its_account_and_its_path() -> None:
    shop = PayPalShop()
    order_id = shop.approved(key="key-1")
    assert shop.capture(order_id, "key-1").status == 201
    shop.token = shop.new_token("app-2")
    assert shop.created("key-1") != order_id


@pytest.mark.parametrize(("simultaneous", "status"), [("409", 409), ("500", 500)])
def test_the_second_of_two_at_once_is_rejected(simultaneous: str, status: int) -> None:
    shop = PayPalShop(simultaneous=simultaneous)
    first = shop.begin(ORDERS, CREATION)
    assert isinstance(first, Execution)
    assert shop.create().status == status
    made = shop.sandbox.finish(first).json()["id"]
    assert shop.create().json()["id"] == made


def test_a_request_does_not_survive_a_reset() -> None:
    shop = PayPalShop()
    begun = shop.begin(ORDERS, CREATION)
    assert isinstance(begun, Execution)
    shop.sandbox.reset()
    assert shop.sandbox.finish(begun).status == 503
    assert shop.sandbox.orders == {}


def test_a_creation_without_a_request_id_is_rejected() -> None:
    assert issue(PayPalShop().create(key=None)) == "PAYPAL_REQUEST_ID_REQUIRED"


def test_a_request_id_has_108_characters_at_most() -> None:
    shop = PayPalShop()
    assert shop.create(key="x" * 108).status == 201
    assert issue(shop.create(key="x" * 109)) == "INVALID_STRING_LENGTH"


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the creation with the value at a path such as `purchase_units/0/custom_id`."""
    body = copy.deepcopy(CREATION)
    *parents, last = path.split("/")
    within: Any = body
    for name in parents:
        within = within[int(name)] if isinstance(within, list) else within[name]
    if value is None:
        del within[last]
    else:
        within[last] = value
    return body


CONTEXT = "payment_source/paypal/experience_context"
AMOUNT = "purchase_units/0/amount"


@pytest.mark.parametrize(
    ("path", "value", "status", "expected"),
    [
        ("intent", None, 400, "MISSING_REQUIRED_PARAMETER"),
        ("intent", "AUTHORIZE", 400, "INVALID_PARAMETER_VALUE"),
        ("processing_instruction", "NO_INSTRUCTION", 400, "NOT_SUPPORTED"),
        ("purchase_units", [], 400, "INVALID_ARRAY_MIN_ITEMS"),
        ("purchase_units", [{}, {}], 400, "INVALID_ARRAY_MAX_ITEMS"),
        ("purchase_units", {}, 400, "INVALID_PARAMETER_SYNTAX"),
        ("purchase_units", [7], 400, "INVALID_PARAMETER_SYNTAX"),
        ("purchase_units/0/custom_id", "x" * 128, 400, "INVALID_STRING_LENGTH"),
        ("purchase_units/0/invoice_id", "x" * 128, 400, "INVALID_STRING_LENGTH"),
        ("purchase_units/0/description", "", 400, "INVALID_STRING_LENGTH"),
        ("purchase_units/0/metadata", {}, 400, "NOT_SUPPORTED"),
        (AMOUNT, None, 400, "MISSING_REQUIRED_PARAMETER"),
        (f"{AMOUNT}/value", 10.99, 400, "INVALID_PARAMETER_SYNTAX"),
        (f"{AMOUNT}/value", "10,99", 400, "INVALID_PARAMETER_SYNTAX"),
        (f"{AMOUNT}/value", "10.999", 422, "DECIMAL_PRECISION"),
        (f"{AMOUNT}/value", "0.00", 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        (f"{AMOUNT}/value", "1" + "0" * 15, 422, "MAX_VALUE_EXCEEDED"),
        (f"{AMOUNT}/currency_code", "XXX", 422, "INVALID_CURRENCY_CODE"),
        (f"{AMOUNT}/currency_code", "JPY", 422, "DECIMAL_PRECISION"),
        (f"{CONTEXT}/return_url", None, 400, "MISSING_REQUIRED_PARAMETER"),
        (f"{CONTEXT}/cancel_url", "shop", 400, "INVALID_PARAMETER_SYNTAX"),
        (f"{CONTEXT}/landing_page", "BILLING", 400, "INVALID_PARAMETER_VALUE"),
        (f"{CONTEXT}/locale", "en-US", 400, "NOT_SUPPORTED"),
    ],
)
def test_an_invalid_creation_is_rejected(path: str, value: Any, status: int, expected: str) -> None:
    shop = PayPalShop()
    answer = shop.post(ORDERS, changed(path, value))
    assert (answer.status, issue(answer)) == (status, expected)
    assert shop.sandbox.orders == {}


def test_a_rejection_is_not_kept_under_its_request_id() -> None:
    shop = PayPalShop()
    assert shop.post(ORDERS, changed(f"{AMOUNT}/currency_code", "XXX")).status == 422
    assert shop.create().status == 201


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"[" * 60_000, b"\xff"])
def test_a_body_that_is_no_object_is_malformed(body: bytes) -> None:
    assert issue(PayPalShop().post(ORDERS, body)) == "MALFORMED_REQUEST_JSON"


def test_a_form_is_an_unsupported_media_type() -> None:
    shop = PayPalShop()
    how = {"Content-Type": "application/x-www-form-urlencoded"}
    assert shop.post(ORDERS, CREATION, **how).status == 415


# Approval and capture.


def test_an_approved_order_is_captured_once() -> None:
    shop = PayPalShop()
    order_id = shop.approved()
    captured = shop.capture(order_id)
    assert (captured.status, captured.json()["status"]) == (201, "COMPLETED")
    (capture,) = captured.json()["purchase_units"][0]["payments"]["captures"]
    assert (capture["status"], capture["amount"]["value"]) == ("COMPLETED", "10.99")
    assert issue(shop.capture(order_id, "capture-2")) == "ORDER_ALREADY_CAPTURED"
    assert shop.capture(order_id).status == 200


def test_an_order_that_is_not_approved_is_not_captured() -> None:
    shop = PayPalShop()
    order_id = shop.created()
    assert issue(shop.capture(order_id)) == "ORDER_NOT_APPROVED"
    shop.approve(order_id)
    assert shop.capture(order_id).status == 201


@pytest.mark.parametrize("plan", ["PENDING", "DECLINED", "FAILED"])
def test_a_completed_order_can_hold_another_capture(plan: str) -> None:
    shop = PayPalShop()
    order_id = shop.approved(plan)
    order = shop.capture(order_id).json()
    assert order["status"] == "COMPLETED"
    assert order["purchase_units"][0]["payments"]["captures"][0]["status"] == plan


@pytest.mark.parametrize(
    ("goes_back", "status"), [(True, "PAYER_ACTION_REQUIRED"), (False, "APPROVED")]
)
def test_a_declined_card_can_be_replaced(goes_back: bool, status: str) -> None:
    shop = PayPalShop(declined_goes_back=goes_back)
    order_id = shop.approved("INSTRUMENT_DECLINED")
    assert issue(shop.capture(order_id)) == "INSTRUMENT_DECLINED"
    assert shop.status(order_id) == status
    shop.approve(order_id)
    assert shop.capture(order_id, "capture-2").status == 201


@pytest.mark.parametrize("plan", ["TRANSACTION_REFUSED", "PAYER_CANNOT_PAY"])
def test_a_refused_capture_takes_nothing(plan: str) -> None:
    shop = PayPalShop()
    order_id = shop.approved(plan)
    assert issue(shop.capture(order_id)) == plan
    assert not shop.sandbox.orders[order_id].captures


def test_an_invoice_is_captured_once() -> None:
    shop = PayPalShop()
    first, second = shop.approved(), shop.approved(key="key-2")
    assert shop.capture(first).status == 201
    assert issue(shop.capture(second)) == "DUPLICATE_INVOICE_ID"
    other = shop.approved(key="key-3", invoice_id="A-2")
    assert shop.capture(other).status == 201


def test_a_merchant_can_allow_an_invoice_twice() -> None:
    shop = PayPalShop(unique_invoices="never")
    for key in ("key-1", "key-2"):
        assert shop.capture(shop.approved(key=key)).status == 201


def test_a_captured_invoice_can_be_rejected_at_the_creation() -> None:
    shop = PayPalShop(unique_invoices="create")
    shop.capture(shop.approved())
    assert issue(shop.create("key-2")) == "DUPLICATE_INVOICE_ID"


@pytest.mark.parametrize(("uses", "status"), [(False, 201), (True, 422)])
def test_a_declined_capture_may_use_its_invoice(uses: bool, status: int) -> None:
    shop = PayPalShop(declined_uses_invoice=uses)
    shop.capture(shop.approved("DECLINED"))
    assert shop.capture(shop.approved(key="key-2")).status == status


def test_a_capture_takes_no_parameters() -> None:
    shop = PayPalShop()
    path = f"{ORDERS}/{shop.approved()}/capture"
    assert issue(shop.post(path, {"amount": "1.00"})) == "INVALID_PARAMETER_SYNTAX"


# The life of an order.


def test_an_unapproved_order_is_gone_after_six_hours() -> None:
    shop = PayPalShop()
    order_id = shop.created()
    shop.now += 6 * HOUR - 1
    assert shop.status(order_id) == "PAYER_ACTION_REQUIRED"
    shop.now += 1
    answer = shop.read(order_id)
    assert (answer.status, issue(answer)) == (404, "INVALID_RESOURCE_ID")
    assert shop.events() == []


def test_an_approval_lasts_six_hours_more() -> None:
    shop = PayPalShop()
    order_id = shop.created()
    shop.now += 5 * HOUR
    shop.approve(order_id)
    shop.now += 6 * HOUR - 1
    shop.token = shop.new_token()
    assert shop.status(order_id) == "APPROVED"
    shop.now += 1
    assert shop.capture(order_id).status == 404
    assert shop.events()[-1] == "CHECKOUT.PAYMENT-APPROVAL.REVERSED"


def test_a_captured_order_stays() -> None:
    shop = PayPalShop()
    order_id = shop.approved()
    shop.capture(order_id)
    shop.now += 1000 * HOUR
    shop.token = shop.new_token()
    assert shop.status(order_id) == "COMPLETED"


def test_a_voided_order_is_not_captured() -> None:
    shop = PayPalShop()
    order_id = shop.approved()
    void(shop.sandbox, order_id)
    assert shop.status(order_id) == "VOIDED"
    assert issue(shop.capture(order_id)) == "ORDER_NOT_APPROVED"


def test_each_change_makes_an_event() -> None:
    shop = PayPalShop()
    order_id = shop.approved("PENDING")
    shop.capture(order_id)
    change_capture(shop.sandbox, order_id, "COMPLETED")
    change_capture(shop.sandbox, order_id, "REFUNDED")
    assert shop.events() == [
        "CHECKOUT.ORDER.APPROVED",
        "PAYMENT.CAPTURE.PENDING",
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.REFUNDED",
    ]
    assert {event["resource"].get("id") for event in shop.sandbox.events[:1]} == {order_id}


# The approval page.


def test_the_page_shows_the_amount_and_three_buttons() -> None:
    shop = PayPalShop()
    order_id = shop.created(description="<b>Order</b>")
    page = shop.sandbox.handle("GET", f"/checkoutnow?token={order_id}", {}).body.decode()
    assert "10.99 USD" in page
    assert "&lt;b&gt;Order" in page
    assert page.count("<button") == 3


@pytest.mark.parametrize(
    ("choice", "status", "address"),
    [
        (
            "approve",
            "APPROVED",
            "https://shop.example/paid?order=A-1&token={}&PayerID=QYR5Z8XDVJNXQ",
        ),
        (
            "decline",
            "APPROVED",
            "https://shop.example/paid?order=A-1&token={}&PayerID=QYR5Z8XDVJNXQ",
        ),
        ("back", "PAYER_ACTION_REQUIRED", "https://shop.example/cart?token={}"),
    ],
)
def test_a_button_returns_to_the_shop(choice: str, status: str, address: str) -> None:
    shop = PayPalShop()
    order_id = shop.created()
    answer = shop.choose(order_id, choice)
    assert (answer.status, answer.headers["Location"]) == (303, address.format(order_id))
    assert shop.status(order_id) == status


def test_a_declined_card_is_declined_at_the_capture() -> None:
    shop = PayPalShop()
    order_id = shop.created()
    shop.choose(order_id, "decline")
    assert issue(shop.capture(order_id)) == "INSTRUMENT_DECLINED"
    shop.choose(order_id, "approve")
    assert shop.capture(order_id, "capture-2").status == 201


def test_a_paid_or_unknown_order_has_no_buttons() -> None:
    shop = PayPalShop()
    order_id = shop.approved()
    shop.capture(order_id)
    for token in (order_id, "UNKNOWN", ""):
        page = shop.sandbox.handle("GET", f"/checkoutnow?token={token}", {})
        assert b"<button" not in page.body
    assert shop.choose(order_id, "approve").status == 200
    assert shop.choose("UNKNOWN", "approve").status == 404
    assert shop.choose(order_id, "other").status == 404


# Faults.


@pytest.mark.parametrize(
    ("kind", "status", "made"),
    [
        ("error_500_without_object", 500, 0),
        ("error_500_with_object", 500, 1),
        ("error_503", 503, 0),
        ("rate_limited", 429, 0),
        ("key_in_use", 409, 0),
        ("unauthorized", 401, 0),
        ("forbidden", 403, 0),
        ("html", 200, 1),
        ("empty_object", 200, 1),
        ("request_timeout_408", 408, 0),
    ],
)
def test_a_fault_fails_as_it_says(kind: str, status: int, made: int) -> None:
    shop = PayPalShop()
    shop.fault(kind, f"{ORDERS}$")
    assert shop.create().status == status
    assert len(shop.sandbox.orders) == made
    assert shop.create().status == (200 if made else 201)


def test_a_limited_request_says_when_to_come_back() -> None:
    shop = PayPalShop()
    shop.fault("rate_limited", retry_after=7)
    assert shop.create().headers["Retry-After"] == "7"


def test_an_answer_of_a_server_before_the_api_executes_nothing() -> None:
    shop = PayPalShop()
    shop.fault("html", executes=False)
    shop.create()
    assert shop.sandbox.orders == {}


def test_a_fault_can_be_for_one_order() -> None:
    shop = PayPalShop()
    shop.sandbox.faults.order(FaultOrder("error_503", Match(order_id="A-1"), count=None))
    assert shop.create("key-1").status == 503
    assert shop.create("key-2", custom_id="shop-7:B-1").status == 201


def test_an_unknown_path_does_not_exist() -> None:
    shop = PayPalShop()
    assert shop.get("/v2/payments").status == 404
    assert shop.sandbox.handle("GET", f"{ORDERS}/X/y", shop.headers()).status == 404


# The description.


def every_answer(shop: PayPalShop) -> list[Response]:
    """Return an answer of each kind."""
    answers = [shop.create(), shop.create(), shop.post(ORDERS, CREATION, "minimal", minimal=True)]
    for number, plan in enumerate(("COMPLETED", "PENDING", "DECLINED", "FAILED", *CAPTURE_ISSUES)):
        names = {"invoice_id": f"A-{number}", "key": f"plan-{number}"}
        order_id = shop.approved(plan, **names)
        answers += [
            shop.read(order_id),
            shop.capture(order_id),
            shop.capture(order_id, minimal=True),
        ]
        answers.append(shop.read(order_id))
        if shop.sandbox.orders[order_id].captures:
            for status in ("PARTIALLY_REFUNDED", "REFUNDED", "COMPLETED"):
                shop.sandbox.orders[order_id].captures[-1]["status"] = status
                answers.append(shop.read(order_id))
    return answers


def test_every_answer_fits_paypals_description() -> None:
    described = required_description()
    described.check_creation(CREATION)
    shop = PayPalShop()
    assert len(every_answer(shop)) > 100
    for kind in (
        "error_500_without_object",
        "error_503",
        "key_in_use",
        "unauthorized",
        "forbidden",
    ):
        for path in ("", "/capture"):
            shop.fault(kind, f"{ORDERS}{'/' if path else '$'}")
            order_id = next(iter(shop.sandbox.orders))
            assert shop.post(f"{ORDERS}{f'/{order_id}{path}' if path else ''}", {}).status >= 400
    assert shop.read("UNKNOWN").status == 404
    statuses = {status for _, _, status in described.checked}
    assert statuses >= {200, 201, 400, 401, 403, 404, 409, 415, 422, 500, 503} - {400, 415}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 7},
        {"id": "X", "status": "DONE"},
        {"id": "X", "purchase_units": []},
        {"id": "X", "links": [{"rel": "self"}]},
        {"id": "X", "create_time": "yesterday"},
    ],
)
def test_the_description_rejects_a_wrong_order(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        required_description().check_answer("GET", f"{ORDERS}/X", 200, wrong)
