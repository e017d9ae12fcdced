"""PayPal's order object, converted to an Intent and checked against what we asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from payment_service.gateways.contract import NamedPayment
from payment_service.gateways.intent import (
    CANCELED,
    PROCESSING,
    REQUIRES_ACTION,
    REQUIRES_CAPTURE,
    SUCCEEDED,
    Failure,
    Intent,
)
from payment_service.gateways.paypal.amounts import amount_of
from payment_service.gateways.paypal.facts import API_VERSION, NAME
from payment_service.gateways.paypal.names import custom_id, invoice_id, is_order_id, order_of
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order

# Before the capture, the order's own status counts.
_STATUSES = {
    "CREATED": REQUIRES_ACTION,
    "SAVED": REQUIRES_ACTION,
    "PAYER_ACTION_REQUIRED": REQUIRES_ACTION,
    "APPROVED": REQUIRES_CAPTURE,
    "VOIDED": CANCELED,
}

# After it, that of the capture: a completed order can hold a declined payment, and PayPal allows
# one capture per order, so nothing more can come of that one.
_CAPTURE_STATUSES = {
    "COMPLETED": SUCCEEDED,
    "REFUNDED": SUCCEEDED,
    "PARTIALLY_REFUNDED": SUCCEEDED,
    "PENDING": PROCESSING,
    "DECLINED": CANCELED,
    "FAILED": CANCELED,
}

# The links to PayPal's page: with a payment source in the request, and without.
_LINKS = ("payer-action", "approve")


class UnreadableOrder(ValueError):
    """PayPal's answer is not the order that we asked for."""


class Expected(Struct, frozen=True):
    """The order that an answer must be about. `id` is None while it is being created."""

    params: Mapping[str, Any]
    livemode: bool
    id: str | None = None


def read_id(found: Any, expected: Expected) -> str:
    """Return the id of an order. Raises UnreadableOrder for another one, or for no order."""
    if not isinstance(found, dict) or not is_order_id(found.get("id")):
        raise UnreadableOrder("no order")
    order_id: str = found["id"]
    if expected.id not in (None, order_id):
        raise UnreadableOrder("another order than was asked for")
    return order_id


def read_order(found: Any, expected: Expected) -> Intent:
    """Convert an order whose id, custom_id, amount and currency are the expected ones.

    An answer matched to the wrong request would send a shopper to another shopper's page, or end
    another order. Raises UnreadableOrder, and LookupError, TypeError or ValueError for other JSON.
    """
    order_id, params = read_id(found, expected), expected.params
    if found.get("intent", "CAPTURE") != "CAPTURE":
        raise UnreadableOrder("an order that is not captured")
    (unit,) = found["purchase_units"]
    captures = (unit.get("payments") or {}).get("captures") or []
    _check([unit, *captures], params)
    status, last = _status(found["status"], captures), captures[-1] if captures else {}
    return Intent(
        id=order_id,
        client_secret="",
        status=status,
        amount=params["amount"],
        currency=params["currency"],
        created=seconds_of(found.get("create_time")),
        metadata=order_names(expected),
        livemode=expected.livemode,
        amount_received=params["amount"] if status == SUCCEEDED else 0,
        amount_capturable=params["amount"] if status == REQUIRES_CAPTURE else 0,
        given_back=bool(last) and last["status"] == "REFUNDED",
        failure=_failure(last, status),
        redirect_url=read_link(found, order_id) if status == REQUIRES_ACTION else None,
        raw=found,
    )


def read_named(found: Any, order_id: str, order: Order) -> NamedPayment | None:
    """Convert an order of any price; None if it names another order of ours, or none.

    Raises as `read_order`.
    """
    (unit,) = found["purchase_units"]
    if order_of(unit.get("custom_id"), livemode=order.livemode) != order:
        return None
    currency = unit["amount"]["currency_code"].lower()
    params = {
        "amount": amount_of(unit["amount"]["value"], currency),
        "currency": currency,
        "custom_id": custom_id(order),
        "invoice_id": invoice_id(order),
    }
    intent = read_order(found, Expected(params, order.livemode, order_id))
    return NamedPayment(intent, SentParams(API_VERSION, params, NAME))


def read_link(found: Mapping[str, Any], order_id: str) -> str | None:
    """Return the link to PayPal's page; None if there is none, or if it is not this order's."""
    links = {rel: href for rel, href in _links(found) if order_id in href}
    return next((links[rel] for rel in _LINKS if rel in links), None)


def _links(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for link in found.get("links") or ():
        rel, href = link["rel"], link["href"]
        # The stand-in speaks plain HTTP.
        if isinstance(href, str) and href.startswith(("https://", "http://")):
            yield rel, href


def _check(parts: list[Any], params: Mapping[str, Any]) -> None:
    """Compare the unit and its captures: each name and amount that is there, and at least one."""
    names = [part["custom_id"] for part in parts if "custom_id" in part]
    amounts = [part["amount"] for part in parts if "amount" in part]
    invoices = [part["invoice_id"] for part in parts if "invoice_id" in part]
    if set(names) != {params["custom_id"]} or not set(invoices) <= {params["invoice_id"]}:
        raise UnreadableOrder("an order with another name")
    if not amounts or not all(_costs(amount, params) for amount in amounts):
        raise UnreadableOrder("an order with another amount")


def _costs(amount: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    currency: str = params["currency"]
    if amount["currency_code"] != currency.upper():
        return False
    return bool(amount_of(amount["value"], currency) == params["amount"])


def _status(status: str, captures: list[Any]) -> str:
    """Return our status. Raises LookupError for one that this service does not know."""
    if captures:
        return _CAPTURE_STATUSES[captures[-1]["status"]]
    return _STATUSES[status]


def _failure(capture: Mapping[str, Any], status: str) -> Failure | None:
    if not capture or status != CANCELED:
        return None
    reason = (capture.get("status_details") or {}).get("reason")
    return Failure(str(capture["id"]), reason if isinstance(reason, str) else None)


def order_names(expected: Expected) -> dict[str, str]:
    """Return the order's names, as the metadata of a PaymentIntent has them."""
    order = order_of(expected.params["custom_id"], livemode=expected.livemode)
    if order is None:
        raise UnreadableOrder("an order that is not ours")
    named = {"order_id": order.order_id}
    return named if order.client_id is None else {**named, "client_id": order.client_id}


def seconds_of(moment: object) -> int:
    """Return Unix seconds; 0 without a readable moment, which nothing that is safe relies on."""
    try:
        return int(datetime.fromisoformat(str(moment)).timestamp())
    except ValueError:
        return 0
