"""PayPal's refunds: their names, their object, their events, and what a rejection means."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.errors import GatewayFailed
from payment_service.gateways.contract import PaymentMoney
from payment_service.gateways.outcome import Declined, Refunded, Unclear
from payment_service.gateways.paypal.events import payment_event
from payment_service.gateways.paypal.names import order_of_refund, refund_id_of, refund_name
from payment_service.gateways.paypal.orders import Expected
from payment_service.gateways.paypal.paths import OPERATIONS, OTHER, REFUND, route_of
from payment_service.gateways.paypal.refunds import body, read_captured, read_made
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from sandbox.paypal import acts
from sandbox.paypal.refusals import CAPTURE_ISSUES, REFUND_ISSUES
from tests.support.paypal_flow import PayPalFlow
from tests.unit.gateways.test_paypal_names import NAMES, is_a_name
from tests.unit.gateways.test_paypal_orders import EXPECTED, PARAMS, captured

ORDER = Order(livemode=False, client_id="shop-7", order_id="A-1")
CAPTURE_ID = "3C679366HH908993F"
SENT = {"amount": 500, "currency": "usd", "custom_id": "shop-7,A-1,R-1"}
FOUND: dict[str, Any] = {
    "id": "1JU08902781691411",
    "status": "COMPLETED",
    "amount": {"value": "5.00", "currency_code": "USD"},
    "custom_id": "shop-7,A-1,R-1",
    "create_time": "2026-11-29T10:00:00Z",
    "links": [
        {"rel": "self", "href": "https://api-m.paypal.com/v2/payments/refunds/1JU08902781691411"},
        {"rel": "up", "href": f"https://api-m.paypal.com/v2/payments/captures/{CAPTURE_ID}"},
    ],
}


def refund(**changes: Any) -> dict[str, Any]:
    found = {**copy.deepcopy(FOUND), **changes}
    return {name: value for name, value in found.items() if value is not None}


def order_with(*refunds: dict[str, Any], status: str = "PARTIALLY_REFUNDED") -> dict[str, Any]:
    found = captured(status)
    found["purchase_units"][0]["payments"]["refunds"] = list(refunds)
    return found


# Names.


@pytest.mark.parametrize(
    ("client_id", "expected"), [("shop-7", "shop-7,A-1,R_5F1"), (None, "A-1,R_5F1")]
)
def test_a_refund_names_its_order_and_itself(client_id: str | None, expected: str) -> None:
    order = Order(livemode=False, client_id=client_id, order_id="A-1")
    assert refund_name(order, "R_1") == expected
    assert refund_id_of(expected, order) == "R_1"
    assert order_of_refund(expected, livemode=False) == order


@given(NAMES, st.none() | NAMES, NAMES)
def test_a_name_is_read_as_it_was_written(order_id: str, client_id: str, refund_id: str) -> None:
    order = Order(livemode=False, client_id=client_id, order_id=order_id)
    name = refund_name(order, refund_id)
    if name is None:
        return
    assert re.fullmatch("[A-Za-z0-9-_.,]{1,127}", name)
    assert refund_id_of(name, order) == refund_id
    if not name.startswith(","):
        assert order_of_refund(name, livemode=False) == order


@given(st.text(max_size=20))
def test_a_name_of_other_software_is_no_refund_of_ours(found: str) -> None:
    refund_id = refund_id_of(found, ORDER)
    assert refund_id is None or refund_name(ORDER, refund_id) == found
    order = order_of_refund(found, livemode=False)
    assert order is None or is_a_name(order.order_id)


def test_a_refund_of_the_dashboard_has_the_name_of_its_payment() -> None:
    assert order_of_refund("shop-7:A-1", livemode=False) == ORDER
    assert refund_id_of("shop-7:A-1", ORDER) is None


def test_a_long_name_leaves_out_the_order() -> None:
    order = Order(livemode=False, client_id=None, order_id="A" * 100)
    assert refund_name(order, "R" * 40) == "," + "R" * 40
    assert refund_id_of("," + "R" * 40, order) == "R" * 40
    assert order_of_refund("," + "R" * 40, livemode=False) is None
    assert refund_name(order, "R" * 126) == "," + "R" * 126
    assert refund_name(order, "R" * 127) is None


# The path.


def test_the_path_of_a_refund_is_a_known_one() -> None:
    assert ("POST", REFUND) in OPERATIONS
    assert route_of(f"/v2/payments/captures/{CAPTURE_ID}/refund") == REFUND
    for path in ("/v2/payments/captures/x/refund", "/v2/payments/captures//refund", "/v2/x"):
        assert route_of(path) == OTHER


# The request and the object.


def test_the_body_of_a_refund_never_changes() -> None:
    amount = {"value": "5.00", "currency_code": "USD"}
    assert body(SENT) == {"amount": amount, "custom_id": "shop-7,A-1,R-1"}
    yen = {**SENT, "currency": "jpy"}
    assert body(yen)["amount"] == {"value": "500", "currency_code": "JPY"}


@pytest.mark.parametrize(
    ("at_paypal", "status", "counts"),
    [
        ("COMPLETED", "succeeded", True),
        ("PENDING", "pending", True),
        ("FAILED", "failed", False),
        ("CANCELLED", "canceled", False),
        ("LATER", "pending", True),
    ],
)
def test_a_refund_has_one_of_our_statuses(at_paypal: str, status: str, counts: bool) -> None:
    found = refund(status=at_paypal, status_details={"reason": "ECHECK"})
    [read] = read_captured(order_with(found), EXPECTED).refunds
    assert (read.status, read.counts) == (status, counts)
    assert read.failure_reason == ("ECHECK" if status == "failed" else None)
    assert (read.intent_id, read.amount, read.currency) == (EXPECTED.id, 500, "usd")
    assert read.is_of(ORDER, "R-1")


@pytest.mark.parametrize("named", ["shop-7:A-1", "A-2,R-1", "", None, 7])
def test_a_refund_that_names_none_of_ours_was_made_elsewhere(named: Any) -> None:
    [read] = read_captured(order_with(refund(custom_id=named)), EXPECTED).refunds
    assert read.metadata == {}


@pytest.mark.parametrize(
    "found",
    [
        order_with(status="REFUNDED"),
        order_with(status="PARTIALLY_REFUNDED"),
        order_with(refund(amount=None)),
        order_with(refund(amount={"value": "5.00", "currency_code": "EUR"})),
        order_with(refund(amount={"value": "5.001", "currency_code": "USD"})),
        order_with(refund(status=None)),
        order_with(refund(id="../x")),
        {**order_with(refund()), "id": "ANOTHER"},
        {**order_with(refund()), "purchase_units": []},
        {},
    ],
)
def test_an_incomplete_or_wrong_list_is_unreadable(found: Any) -> None:
    with pytest.raises((LookupError, TypeError, ValueError)):
        read_captured(found, EXPECTED)


def test_an_order_without_a_capture_has_no_refunds() -> None:
    expected = Expected(PARAMS, livemode=False, id=EXPECTED.id)
    found = captured("COMPLETED")
    assert read_captured(found, expected).id == CAPTURE_ID
    unit = {"custom_id": PARAMS["custom_id"], "amount": {"currency_code": "USD", "value": "10.99"}}
    read = read_captured({**found, "status": "APPROVED", "purchase_units": [unit]}, expected)
    assert (read.id, read.refunds) == (None, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"value": "5.01", "currency_code": "USD"}},
        {"custom_id": "shop-7,A-1,R-2"},
        {"links": [{"rel": "up", "href": "https://api-m.paypal.com/v2/payments/captures/OTHER"}]},
        {"id": None},
    ],
)
def test_another_refund_than_ours_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"refund|id"):
        read_made(refund(**changes), CAPTURE_ID, SENT, EXPECTED)


def test_an_answer_without_a_name_has_the_one_that_was_sent() -> None:
    read = read_made(refund(custom_id=None, links=None), CAPTURE_ID, SENT, EXPECTED)
    assert not isinstance(read, str)
    assert read.is_of(ORDER, "R-1")


# The outcome.


class Paid(PayPalFlow):
    """One paid order, and its refund R-1 over 5.00."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(**rules)
        self.order_id = self.approved()
        self.capture(self.order_id)
        self.money: PaymentMoney = self.gateway.money(self.sent())

    def params(self) -> SentParams:
        named = {"order_id": "A-1", "refund_id": "R-1"}
        return self.money.params_of_refund({"amount": 500, "metadata": named})

    def refund(self, key: str = "refund-1") -> Any:
        return self.money.refund(self.order_id, self.params(), key, self.soon())


@pytest.mark.parametrize("issue", sorted(REFUND_ISSUES))
def test_a_known_rejection_is_definitive(issue: str) -> None:
    flow = Paid()
    acts.plan_refunds(flow.sandbox, flow.order_id, issue)
    outcome = flow.refund()
    # An operator must act, and the refund stays unknown meanwhile.
    assert isinstance(outcome, Unclear if issue.startswith("PAYEE_") else Declined)


def test_an_unknown_rejection_tells_nothing() -> None:
    flow = Paid()
    order = flow.sandbox.orders[flow.order_id]
    order.refund_plan = "DUPLICATE_INVOICE_ID"
    assert order.refund_plan in CAPTURE_ISSUES
    assert isinstance(flow.refund(), Unclear)


@pytest.mark.parametrize("kind", ["error_500_without_object", "error_503", "unauthorized"])
def test_a_failure_never_spends_the_request_id(kind: str) -> None:
    flow = Paid()
    flow.fault(kind, "/v2/payments/", count=None)
    outcome = flow.refund()
    assert isinstance(outcome, Unclear)
    assert (outcome.saved_5xx, outcome.answered_500) == (False, False)


def test_without_a_token_nothing_is_sent() -> None:
    flow = Paid()
    flow.gateway = flow.another()
    flow.money = flow.gateway.money(flow.sent())
    flow.fault("lost_before", "/v1/oauth2/token", count=None)
    assert isinstance(flow.refund(), Unclear)
    assert not any("refund" in each for each in flow.requests())


def test_a_rejection_after_a_lost_answer_is_said_to_come_after_it() -> None:
    flow = Paid()
    flow.fault("lost_before", "/v2/payments/")
    flow.fault("error_503", "/v2/payments/")
    acts.plan_refunds(flow.sandbox, flow.order_id, "REFUND_NOT_ALLOWED")
    outcome = flow.refund()
    assert isinstance(outcome, Declined)
    assert outcome.after_unresolved


def test_a_minimal_answer_is_completed_from_the_order() -> None:
    flow = Paid(minimal_refunds=True)
    outcome = flow.refund()
    assert isinstance(outcome, Refunded)
    assert outcome.refund.amount == 500
    assert flow.refund().replayed


def test_a_minimal_answer_that_the_order_does_not_show_is_unclear() -> None:
    flow = Paid(minimal_refunds=True)
    flow.fault("html", "/v2/checkout/orders/", "GET", skip=1, count=None)
    assert isinstance(flow.refund(), Unclear)


def test_a_list_that_paypal_refuses_is_no_empty_one() -> None:
    flow = Paid()
    flow.sandbox.orders.clear()
    with pytest.raises(GatewayFailed):
        flow.money.list_refunds(flow.order_id, flow.soon())
    assert flow.money.list_disputes(flow.order_id, flow.soon()) == []


# Events.


@pytest.mark.parametrize("how", ["api", "dashboard"])
def test_an_event_of_a_refund_names_the_order_only(how: str) -> None:
    flow = Paid()
    if how == "api":
        flow.refund()
    else:
        acts.refund(flow.sandbox, flow.order_id, "5.00")
    event = payment_event(flow.sandbox.events[-1], livemode=False)
    assert event is not None
    assert (event.type, event.intent_id, event.is_refund) == ("PAYMENT.CAPTURE.REFUNDED", "", True)
    assert event.order == Order(livemode=False, client_id=None, order_id="A-1")


def test_an_event_of_a_refund_without_a_name_is_not_ours() -> None:
    flow = Paid()
    flow.refund()
    event = copy.deepcopy(flow.sandbox.events[-1])
    del event["resource"]["custom_id"]
    assert payment_event(event, livemode=False) is None


@pytest.mark.parametrize("kind", ["PAYMENT.CAPTURE.REVERSED", "PAYMENT.REFUND.FAILED"])
def test_every_way_back_of_money_is_a_refund(kind: str) -> None:
    flow = Paid()
    flow.refund()
    event = payment_event({**flow.sandbox.events[-1], "event_type": kind}, livemode=False)
    assert event is not None
    assert event.is_refund
