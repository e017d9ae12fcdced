"""Random faults at every send: an outcome never says more than the stand-in has done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_service.errors import PaymentError
from payment_service.gateways.capture_outcome import (
    AccountRefused,
    Captured,
    CaptureOver,
    CaptureUnclear,
    PayerNeeded,
    PaymentGone,
)
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.outcome import Made, PaidBefore
from payment_service.gateways.paypal.events import payment_event
from payment_service.gateways.paypal.orders import Expected, read_order
from payment_service.gateways.send import UNREADABLE
from sandbox.faults import FaultOrder
from sandbox.paypal.request import UNSUPPORTED
from tests.support.examples import examples
from tests.support.paypal_flow import PayPalFlow
from tests.unit.gateways.test_paypal_orders import FOUND, ORDER_ID, PARAMS

KINDS = [
    "lost_before",
    "lost_after",
    "cut_body",
    "hang",
    "error_500_with_object",
    "error_500_without_object",
    "error_503",
    "rate_limited",
    "key_in_use",
    "unauthorized",
    "forbidden",
    "html",
    "empty_object",
    "request_timeout_408",
]
FAULTS = st.lists(st.sampled_from(KINDS) | st.none(), max_size=8)
PLANS = st.sampled_from(
    ["COMPLETED", "PENDING", "DECLINED", "INSTRUMENT_DECLINED", "TRANSACTION_REFUSED"]
)
MANY = settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])


def order_faults(flow: PayPalFlow, kinds: list[str | None]) -> None:
    """Let the n-th request from now on fail in the n-th way."""
    for number, kind in enumerate(kinds):
        if kind:
            # Each request counts for each fault that has not fired yet.
            flow.sandbox.faults.order(FaultOrder(kind, skip=number, count=1))


def test_the_kinds_are_known_to_the_stand_in() -> None:
    assert not set(KINDS) & UNSUPPORTED


@MANY
@given(FAULTS, PLANS)
def test_no_fault_makes_a_capture_claim_more_than_happened(
    kinds: list[str | None], plan: str
) -> None:
    flow = PayPalFlow()
    order_id = flow.approved(plan)
    order_faults(flow, kinds)
    outcomes: list[Any] = []
    for _ in range(4):
        outcome = flow.capture(order_id)
        outcomes.append(outcome)
        taken = flow.captured() == [order_id]
        if isinstance(outcome, Captured):
            assert taken
        if isinstance(outcome, PayerNeeded | CaptureOver | AccountRefused | PaymentGone):
            assert not taken
        assert not isinstance(outcome, PaidBefore)
        if not isinstance(outcome, CaptureUnclear | AccountRefused):
            break
    flow.sandbox.faults.clear()
    last = flow.capture(order_id)
    assert not isinstance(last, CaptureUnclear)
    assert isinstance(last, Captured) is (plan in ("COMPLETED", "PENDING"))
    assert len(flow.sandbox.orders[order_id].captures) <= 1


@MANY
@given(FAULTS)
def test_no_fault_makes_a_creation_double_or_wrong(kinds: list[str | None]) -> None:
    flow = PayPalFlow()
    order_faults(flow, kinds)
    for _ in range(4):
        outcome = flow.create()
        if isinstance(outcome, Made):
            assert [outcome.intent.id] == list(flow.sandbox.orders)
            break
    flow.sandbox.faults.clear()
    assert flow.made().id in flow.sandbox.orders
    assert len(flow.sandbox.orders) == 1


@MANY
@given(FAULTS)
def test_no_fault_makes_an_order_disappear(kinds: list[str | None]) -> None:
    flow = PayPalFlow()
    order_id = flow.made().id
    order_faults(flow, kinds)
    try:
        assert flow.retrieve(order_id).id == order_id
    except NoSuchIntent:
        pytest.fail("the order exists")
    except PaymentError:
        pass


# Any JSON.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
PARTS = st.sampled_from(
    [
        ("id",),
        ("status",),
        ("intent",),
        ("links",),
        ("links", 1),
        ("links", 1, "href"),
        ("links", 1, "rel"),
        ("create_time",),
        ("purchase_units",),
        ("purchase_units", 0),
        ("purchase_units", 0, "custom_id"),
        ("purchase_units", 0, "invoice_id"),
        ("purchase_units", 0, "amount"),
        ("purchase_units", 0, "amount", "value"),
        ("purchase_units", 0, "amount", "currency_code"),
        ("purchase_units", 0, "payments"),
    ]
)


def replaced(within: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    first, *rest = path
    copied = list(within) if isinstance(within, list) else dict(within)
    copied[first] = replaced(within[first] if first != "payments" else {}, tuple(rest), value)
    return copied


@MANY
@given(PARTS, JSON)
def test_any_json_in_any_place_is_the_order_or_unreadable(
    path: tuple[Any, ...], value: Any
) -> None:
    try:
        intent = read_order(replaced(FOUND, path, value), Expected(PARAMS, False, ORDER_ID))
    except UNREADABLE:
        return
    assert (intent.id, intent.amount, intent.currency) == (ORDER_ID, 1099, "usd")
    assert intent.redirect_url is None or ORDER_ID in intent.redirect_url


@MANY
@given(st.dictionaries(st.sampled_from(["id", "event_type", "resource"]), JSON), JSON)
def test_any_json_is_an_event_or_none(event: dict[str, Any], resource: Any) -> None:
    payment_event(event, livemode=False)
    known = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": resource}
    payment_event(known, livemode=False)
    for name in ("purchase_units", "supplementary_data", "links", "custom_id"):
        payment_event({**known, "resource": {"custom_id": "A-1", name: resource}}, livemode=False)
