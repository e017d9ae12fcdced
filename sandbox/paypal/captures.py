"""The checks of a capture: approved, captured once, and its invoice paid once."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.answers import JsonObject
from sandbox.paypal.orders import CAPTURE_STATUSES, NEEDS_PAYER, Order, page_of
from sandbox.paypal.refusals import Refusal
from sandbox.paypal.rules import Rules

# The rejections after which the shopper returns to PayPal's page.
GOES_BACK = (
    "INSTRUMENT_DECLINED",
    "PAYER_ACTION_REQUIRED",
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
)


def check_capture(order: Order, orders: Mapping[str, Order], rules: Rules) -> None:
    """Raise a Refusal unless the order can be captured as its plan says."""
    if order.id not in orders:
        raise Refusal(404, "INVALID_RESOURCE_ID")
    if order.captures:
        raise Refusal(422, "ORDER_ALREADY_CAPTURED")
    if order.status != "APPROVED":
        raise Refusal(422, "ORDER_NOT_APPROVED")
    if rules.unique_invoices != "never":
        check_invoice(order.account, order.invoice_id, orders, rules)
    if order.plan not in CAPTURE_STATUSES:
        if order.plan == "INSTRUMENT_DECLINED" and rules.declined_goes_back:
            order.status = NEEDS_PAYER
        raise Refusal(422, order.plan, link=_page_link(order, rules))


def _page_link(order: Order, rules: Rules) -> JsonObject | None:
    """Return the link for the shopper, who may choose another card."""
    if order.plan not in GOES_BACK:
        return None
    return {"href": page_of(order, rules), "rel": "payer-action", "method": "GET"}


def check_invoice(
    account: str, invoice_id: str | None, orders: Mapping[str, Order], rules: Rules
) -> None:
    """Reject the invoice id of another captured payment of this merchant."""
    unused = set() if rules.declined_uses_invoice else {"DECLINED", "FAILED"}
    for other in orders.values():
        same = invoice_id and (other.account, other.invoice_id) == (account, invoice_id)
        if same and any(each["status"] not in unused for each in other.captures):
            raise Refusal(422, "DUPLICATE_INVOICE_ID")
