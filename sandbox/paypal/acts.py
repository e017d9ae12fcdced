"""Acts of the shopper, the bank and the merchant, outside the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sandbox.answers import JsonObject
from sandbox.paypal import refunds
from sandbox.paypal.orders import CAPTURE_STATUSES, Order
from sandbox.paypal.refusals import CAPTURE_ISSUES, REFUND_ISSUES
from sandbox.paypal.rules import Rules


class Acted(Protocol):
    """The part of the sandbox that acts change; the caller of an act holds its lock."""

    clock: Callable[[], float]
    orders: dict[str, Order]
    rules: Rules

    def tell_order(self, kind: str, order: Order) -> None: ...

    def tell_capture(self, order: Order, capture: JsonObject) -> None: ...

    def tell_refund(self, refund: JsonObject) -> None: ...


def approve(sandbox: Acted, order_id: str, plan: str = "COMPLETED") -> Order:
    """Approve as the shopper does. `plan`: a capture's status, or the issue of its rejection.

    Raises KeyError for an unknown order or plan, ValueError for one that cannot be approved.
    """
    order = sandbox.orders[order_id]
    if plan not in CAPTURE_STATUSES and plan not in CAPTURE_ISSUES:
        raise KeyError(plan)
    if not order.is_open:
        raise ValueError(f"the order is {order.status}")
    order.status, order.plan, order.approved_at = "APPROVED", plan, sandbox.clock()
    order.updated_at = order.approved_at
    sandbox.tell_order("CHECKOUT.ORDER.APPROVED", order)
    return order


def void(sandbox: Acted, order_id: str) -> Order:
    """End an order that is not captured. Raises KeyError, ValueError."""
    order = sandbox.orders[order_id]
    if order.captures:
        raise ValueError("the order is captured")
    order.status = "VOIDED"
    return order


def change_capture(sandbox: Acted, order_id: str, status: str) -> Order:
    """Set the status of the captured payment, as a bank or the dashboard does.

    Raises KeyError for an unknown order or status, ValueError without a capture.
    """
    order = sandbox.orders[order_id]
    if not order.captures:
        raise ValueError("the order is not captured")
    changed = {**order.captures[-1], "status": status}
    changed.pop("status_details", None)
    sandbox.tell_capture(order, changed)
    order.captures[-1] = changed
    return order


def plan_refunds(sandbox: Acted, order_id: str, plan: str) -> Order:
    """Decide the status of the order's next refunds, or the issue of their rejection.

    Raises KeyError for an unknown order or plan.
    """
    if plan not in refunds.STATUSES and plan not in REFUND_ISSUES:
        raise KeyError(plan)
    order = sandbox.orders[order_id]
    order.refund_plan = plan
    return order


def refund(sandbox: Acted, order_id: str, value: str | None = None) -> Order:
    """Refund the order as the merchant does in the dashboard; all that is left without a value.

    Raises KeyError for an unknown order, Refusal for one that cannot be refunded so.
    """
    order = sandbox.orders[order_id]
    currency = order.unit["amount"]["currency_code"]
    body = {} if value is None else {"amount": {"value": value, "currency_code": currency}}
    refund_id = f"DASHBOARD{order.id[:4]}{len(order.refunds):04d}"
    sandbox.tell_refund(refunds.made(order, body, refund_id, sandbox.clock(), sandbox.rules))
    return order


def change_refund(sandbox: Acted, order_id: str, status: str) -> Order:
    """Set the status of the order's last refund, as a bank does.

    Raises KeyError for an unknown order or status, ValueError without a refund.
    """
    order = sandbox.orders[order_id]
    if status not in refunds.STATUSES:
        raise KeyError(status)
    if not order.refunds:
        raise ValueError("the order has no refund")
    sandbox.tell_refund(refunds.changed(order, status, sandbox.clock()))
    return order
