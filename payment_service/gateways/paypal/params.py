"""The parameters of a PayPal order, and the JSON that is sent for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from payment_service.gateways.payment_fields import PaymentFields, Unsuited
from payment_service.gateways.paypal.amounts import DECIMALS, MOST_WHOLE_DIGITS, value_of
from payment_service.gateways.paypal.facts import API_VERSION, NAME
from payment_service.gateways.paypal.names import MOST_CUSTOM_ID, custom_id, invoice_id
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order

MOST_DESCRIPTION = 127

# Promises that PayPal cannot keep. An order that asks for one stays at Stripe.
UNSUITED_FIELDS = (
    "payment_method_options",
    "customer",
    "setup_future_usage",
    "statement_descriptor_suffix",
)


class Pages(Struct, frozen=True):
    """The shop's pages to which PayPal sends the shopper, and what PayPal's page shows.

    `{order_id}` in a URL becomes the order's id. `landing_page`: LOGIN, NO_PREFERENCE, or
    GUEST_CHECKOUT where PayPal offers it.
    """

    return_url: str
    cancel_url: str
    landing_page: str = "NO_PREFERENCE"
    brand_name: str | None = None


def order_params(fields: PaymentFields, pages: Pages, *, livemode: bool) -> SentParams:
    """Return the parameters that the record keeps, from those of the caller's request.

    They keep our own names; `body` translates them. Raises Unsuited.
    """
    order = Order(livemode, fields.client_id, fields.order_id)
    unsuited = _unsuited(order, fields)
    if unsuited:
        raise Unsuited(unsuited)
    params = {
        "amount": fields.amount,
        "currency": fields.currency,
        "custom_id": custom_id(order),
        "invoice_id": invoice_id(order),
        "return_url": _of_order(pages.return_url, order),
        "cancel_url": _of_order(pages.cancel_url, order),
        "landing_page": pages.landing_page,
    }
    if fields.description:
        params["description"] = fields.description[:MOST_DESCRIPTION]
    if pages.brand_name:
        params["brand_name"] = pages.brand_name
    return SentParams(API_VERSION, params, NAME)


def _unsuited(order: Order, fields: PaymentFields) -> str | None:
    """Return the first field because of which the order cannot be paid at PayPal."""
    if fields.currency not in DECIMALS:
        return "currency"
    if len(str(fields.amount)) > MOST_WHOLE_DIGITS:
        return "amount"
    if len(custom_id(order)) > MOST_CUSTOM_ID:
        return "order_id" if order.client_id is None else "client_id"
    if set(fields.payment_method_types or ("card",)) != {"card"}:
        return "payment_method_types"
    if fields.capture_method == "manual":
        return "capture_method"
    return next((name for name in UNSUITED_FIELDS if getattr(fields, name)), None)


def body(params: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the parameters of a creation.

    A pure function that must never change: a resend under a key has to be the same bytes. It never
    sets `processing_instruction`, with which PayPal would capture without us.
    """
    currency = params["currency"]
    unit = {
        "custom_id": params["custom_id"],
        "invoice_id": params["invoice_id"],
        **({"description": params["description"]} if "description" in params else {}),
        "amount": {
            "currency_code": currency.upper(),
            "value": value_of(params["amount"], currency),
        },
    }
    context = {
        "return_url": params["return_url"],
        "cancel_url": params["cancel_url"],
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
        "landing_page": params["landing_page"],
        "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
        **({"brand_name": params["brand_name"]} if "brand_name" in params else {}),
    }
    return {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": context}},
    }


def encoded(found: Mapping[str, Any]) -> bytes:
    """Encode a body as JSON in ASCII."""
    return json.dumps(found, separators=(",", ":")).encode()


def _of_order(url: str, order: Order) -> str:
    return url.replace("{order_id}", quote(order.order_id, safe=""))
