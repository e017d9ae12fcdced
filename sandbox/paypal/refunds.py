"""The refunds of captured payments: Payments v2, with its checks and its refund object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from sandbox.answers import JsonObject
from sandbox.paypal.creation import check_amount, check_names, check_text, value_in
from sandbox.paypal.orders import Order, moment
from sandbox.paypal.refusals import Refusal
from sandbox.paypal.rules import Rules

STATUSES = ("COMPLETED", "PENDING", "FAILED", "CANCELLED")

# The shopper has this money, or gets it.
_WITH_EFFECT = ("COMPLETED", "PENDING")

_PATH = re.compile(r"/v2/payments/captures/(?P<id>[A-Z0-9]+)/refund")


def captured_in(path: str) -> str | None:
    """Return the id of the captured payment that a path refunds, or None."""
    found = _PATH.fullmatch(path)
    return found["id"] if found else None


def order_of(orders: Iterable[Order], account: str, capture_id: str) -> Order:
    """Return the order of a captured payment of this account. Raises a Refusal."""
    for order in orders:
        if order.account == account and any(each["id"] == capture_id for each in order.captures):
            return order
    raise Refusal(404, "INVALID_RESOURCE_ID")


def find(orders: Iterable[Order], refund_id: str) -> JsonObject | None:
    """Return the present state of a refund, or None."""
    refunds = (each for order in orders for each in order.refunds)
    return next((each for each in refunds if each["id"] == refund_id), None)


def minimal(refund: JsonObject) -> JsonObject:
    """Return what PayPal shows without `Prefer: return=representation`."""
    return {name: refund[name] for name in ("id", "status", "links")}


def made(order: Order, body: JsonObject, refund_id: str, now: float, rules: Rules) -> JsonObject:
    """Refund a part of the captured payment, or all that is left. Raises a Refusal."""
    check_names(body, "", ("amount", "custom_id", "invoice_id", "note_to_payer"))
    for name, most in (("custom_id", 127), ("invoice_id", 127), ("note_to_payer", 255)):
        check_text(body, "", name, most)
    amount = _checked(order, value_in(body, "", "amount", dict))
    if order.refund_plan not in STATUSES:
        raise Refusal(422, order.refund_plan)
    refund = _new(order, body, amount, refund_id, now, rules)
    order.refunds.append(refund)
    _mark_capture(order)
    return refund


def changed(order: Order, status: str, now: float) -> JsonObject:
    """Give the last refund another status."""
    refund = {**order.refunds[-1], "status": status, "update_time": moment(now)}
    refund.pop("status_details", None)
    order.refunds[-1] = refund
    _mark_capture(order)
    return refund


def _checked(order: Order, amount: JsonObject | None) -> JsonObject:
    capture = order.captures[-1] if order.captures else None
    if capture is None or capture["status"] in ("DECLINED", "FAILED"):
        raise Refusal(422, "REFUND_NOT_ALLOWED")
    if capture["status"] == "PENDING":
        raise Refusal(422, "PENDING_CAPTURE")
    currency = capture["amount"]["currency_code"]
    left = Decimal(capture["amount"]["value"]) - _refunded(order)
    if amount is None:
        amount = {"currency_code": currency, "value": str(left)}
    else:
        check_amount(amount, "/amount")
    if amount["currency_code"] != currency:
        raise Refusal(422, "REFUND_CAPTURE_CURRENCY_MISMATCH")
    if left <= 0:
        raise Refusal(422, "CAPTURE_FULLY_REFUNDED")
    if Decimal(amount["value"]) > left:
        raise Refusal(422, "REFUND_AMOUNT_EXCEEDED")
    return amount


def _refunded(order: Order) -> Decimal:
    with_effect = (each for each in order.refunds if each["status"] in _WITH_EFFECT)
    return sum((Decimal(each["amount"]["value"]) for each in with_effect), Decimal(0))


def _new(
    order: Order, body: JsonObject, amount: JsonObject, refund_id: str, now: float, rules: Rules
) -> JsonObject:
    """Return the refund; it has the names of the captured payment if the request gives none."""
    capture, status = order.captures[-1], order.refund_plan
    given = {**capture, **body}
    names = ("custom_id", "invoice_id", "note_to_payer")
    total = {**amount, "value": str(_refunded(order) + Decimal(amount["value"]))}
    address = f"{rules.base_url}/v2/payments"
    up = f"{address}/captures/{capture['id']}"
    return {
        "id": refund_id,
        "status": status,
        **({"status_details": {"reason": "ECHECK"}} if status in ("PENDING", "FAILED") else {}),
        "amount": amount,
        **{name: given[name] for name in names if name in given},
        "seller_payable_breakdown": {"gross_amount": amount, "total_refunded_amount": total},
        "create_time": moment(now),
        "update_time": moment(now),
        "links": [
            {"href": f"{address}/refunds/{refund_id}", "rel": "self", "method": "GET"},
            {"href": up, "rel": "up", "method": "GET"},
        ],
    }


def _mark_capture(order: Order) -> None:
    """Give the captured payment the status that its refunds lead to."""
    capture, refunded = order.captures[-1], _refunded(order)
    whole = refunded >= Decimal(capture["amount"]["value"])
    status = "COMPLETED" if not refunded else "REFUNDED" if whole else "PARTIALLY_REFUNDED"
    order.captures[-1] = {**capture, "status": status}
