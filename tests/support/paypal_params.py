"""Parameters of a PayPal order, from the fields of a request in a test."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from payment_service.gateways.payment_fields import PaymentFields
from payment_service.gateways.paypal import params
from payment_service.gateways.paypal.params import Pages
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order

_NAMES = {name for name, found in vars(PaymentFields).items() if isinstance(found, property)}


def order_params(order: Order, request: Mapping[str, Any], pages: Pages) -> SentParams:
    """Return the parameters for a request of this order; a field that is left out is None."""
    named = {"order_id": order.order_id, "client_id": order.client_id, **request}
    fields: Any = SimpleNamespace(**{**dict.fromkeys(_NAMES), **named})
    return params.order_params(fields, pages, livemode=order.livemode)
