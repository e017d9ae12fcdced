"""An order of the stand-in, and the JSON that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.answers import JsonObject
from sandbox.paypal.rules import Rules

NEEDS_PAYER = "PAYER_ACTION_REQUIRED"

# A shopper of the sandbox.
PAYER = {"email_address": "shopper@example.com", "account_id": "QYR5Z8XDVJNXQ"}

# The plans that end with a captured payment: its status. Any other plan is an issue.
CAPTURE_STATUSES = ("COMPLETED", "PENDING", "DECLINED", "FAILED")


@dataclass(slots=True)
class Order:
    """One order. `plan`: what its capture will lead to; the shopper or a control call decides.

    `refund_plan`: what its refunds will lead to, a status or the issue of a rejection. Times are
    Unix seconds. `approved_at` is None until the shopper approves.
    """

    id: str
    account: str
    unit: JsonObject
    context: JsonObject
    created_at: float
    updated_at: float
    status: str = NEEDS_PAYER
    approved_at: float | None = None
    plan: str = "COMPLETED"
    captures: list[JsonObject] = field(default_factory=list)
    refunds: list[JsonObject] = field(default_factory=list)
    refund_plan: str = "COMPLETED"

    @property
    def invoice_id(self) -> str | None:
        """The invoice id, which is unique among captured payments."""
        return self.unit.get("invoice_id")

    @property
    def is_open(self) -> bool:
        """Whether the shopper can approve it, or choose another card."""
        return not self.captures and self.status != "VOIDED"

    def gone_at(self, rules: Rules) -> float | None:
        """Return when PayPal forgets the order; None if it is captured."""
        if self.captures:
            return None
        if self.approved_at is None:
            return self.created_at + rules.unapproved_seconds
        return self.approved_at + rules.approved_seconds


def moment(at: float) -> str:
    """Return a time as PayPal writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(order: Order, rules: Rules, *, link: bool = True) -> JsonObject:
    """Return the complete order."""
    wallet = PAYER if order.approved_at is not None else {}
    unit: JsonObject = {"reference_id": "default", **order.unit}
    if order.captures:
        unit["payments"] = {"captures": order.captures}
    if order.refunds:
        unit["payments"]["refunds"] = order.refunds
    return {
        **minimal(order, rules, link=link),
        "intent": "CAPTURE",
        "payment_source": {"paypal": wallet},
        "purchase_units": [unit],
        "create_time": moment(order.created_at),
        "update_time": moment(order.updated_at),
    }


def minimal(order: Order, rules: Rules, *, link: bool = True) -> JsonObject:
    """Return what PayPal shows without `Prefer: return=representation`."""
    address = f"{rules.base_url}/v2/checkout/orders/{order.id}"
    links = [{"href": address, "rel": "self", "method": "GET"}]
    if order.status == NEEDS_PAYER and link:
        links.append({"href": page_of(order, rules), "rel": "payer-action", "method": "GET"})
    if order.status == "APPROVED":
        links.append({"href": f"{address}/capture", "rel": "capture", "method": "POST"})
    return {"id": order.id, "status": order.status, "links": links}


def page_of(order: Order, rules: Rules) -> str:
    """Return the address of the approval page."""
    return f"{rules.base_url}/checkoutnow?token={order.id}"


def new_capture(order: Order, capture_id: str, status: str, now: float, rules: Rules) -> JsonObject:
    """Return the captured payment; PENDING and DECLINED have a reason."""
    reasons = {"PENDING": {"reason": "PENDING_REVIEW"}, "DECLINED": {"reason": "OTHER"}}
    details = {"status_details": reasons[status]} if status in reasons else {}
    names: JsonObject = {
        name: order.unit[name] for name in ("custom_id", "invoice_id") if name in order.unit
    }
    address = f"{rules.base_url}/v2/payments/captures/{capture_id}"
    up = f"{rules.base_url}/v2/checkout/orders/{order.id}"
    return {
        "id": capture_id,
        "status": status,
        **details,
        "amount": order.unit["amount"],
        "final_capture": True,
        **names,
        "create_time": moment(now),
        "update_time": moment(now),
        "links": [
            {"href": address, "rel": "self", "method": "GET"},
            {"href": up, "rel": "up", "method": "GET"},
        ],
    }
