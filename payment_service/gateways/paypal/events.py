"""PayPal's webhook event, converted to a PaymentEvent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.event_json import object_in
from payment_service.gateways.paypal.facts import NAME
from payment_service.gateways.paypal.names import is_order_id, order_of, order_of_refund

APPROVED = "CHECKOUT.ORDER.APPROVED"

# Money of a captured payment went back: a refund of ours or of PayPal's dashboard, or a reversal.
_REFUNDS = re.compile(r"PAYMENT\.(?:CAPTURE\.(?:REFUNDED|REVERSED)|REFUND\..*)")

# Events about a capture, whatever became of it. PayPal's pages name a declined one DENIED or
# DECLINED, so the ending does not matter: the order is read anyway.
_KINDS = re.compile(
    r"(?:CHECKOUT\.(?:ORDER|PAYMENT-APPROVAL)|PAYMENT\.(?:CAPTURE|REFUND))\.[A-Z0-9._-]{1,60}"
)
_EVENT_ID = re.compile("[A-Za-z0-9_-]{1,100}")
_LINK_TO_ORDER = re.compile(r"https?://[^/\s]+/v2/checkout/orders/(?P<id>[A-Z0-9]{1,36})")


def payment_event(event: Mapping[str, Any], *, livemode: bool) -> PaymentEvent | None:
    """Read an event; None unless it is about an order of ours.

    `livemode`: the mode of the PayPal account, which the event does not show. An event is only a
    reason to read the order.
    """
    event_id, kind, resource = (
        event.get("id"),
        event.get("event_type"),
        object_in(event, "resource"),
    )
    if not (isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id)):
        return None
    if not (isinstance(kind, str) and _KINDS.fullmatch(kind)):
        return None
    is_refund, order_id = _REFUNDS.fullmatch(kind) is not None, _order_id(kind, resource)
    order = (order_of_refund if is_refund else order_of)(_custom_id(resource), livemode=livemode)
    if order is None or (order_id is None and not is_refund):
        return None
    return PaymentEvent(
        event_id,
        kind,
        livemode,
        # A refund links to its capture only.
        order_id or "",
        order,
        gateway=NAME,
        is_approval=kind == APPROVED,
        is_refund=is_refund,
    )


def _custom_id(resource: Mapping[str, Any]) -> object:
    """Return the name of the order: an order has it in its unit, a capture has it itself."""
    units = resource.get("purchase_units")
    unit = units[0] if isinstance(units, list) and units else None
    named = unit if isinstance(unit, dict) else resource
    return named.get("custom_id")


def _order_id(kind: str, resource: Mapping[str, Any]) -> str | None:
    """Return the id of the order that the event is about."""
    if kind.startswith("CHECKOUT."):
        named = (resource.get("id"), resource.get("order_id"))
    else:
        related = object_in(object_in(resource, "supplementary_data"), "related_ids")
        named = (related.get("order_id"), _linked(resource))
    return next((each for each in named if is_order_id(each)), None)


def _linked(resource: Mapping[str, Any]) -> str | None:
    """Return the id in the link from a capture up to its order."""
    links = resource.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "up":
            found = _LINK_TO_ORDER.fullmatch(str(link.get("href")))
            if found:
                return found["id"]
    return None
