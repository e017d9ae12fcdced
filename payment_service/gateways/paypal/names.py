"""The names of an order at PayPal: custom_id, by which we find it, and invoice_id, its fence."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TypeGuard
from urllib.parse import quote, unquote

from payment_service.key_store.contract import Order
from payment_service.schema.names import order_name

# Part of every hash, so that our names differ from those of other software in the account.
NAMESPACE = "stripe-back-end-api/1"

# PayPal's description of Orders v2 allows 127 characters; its newer SDKs allow 255.
MOST_CUSTOM_ID = 127

# PayPal allows 127. The readable part is for the payer, who sees it.
MOST_READABLE = 60

_ORDER_ID = re.compile("[A-Z0-9]{1,36}")


def is_order_id(found: object) -> TypeGuard[str]:
    """Whether this is a well-formed id of a PayPal order."""
    return isinstance(found, str) and _ORDER_ID.fullmatch(found) is not None


def custom_id(order: Order) -> str:
    """Return the name by which a webhook finds the record; it may be too long for PayPal.

    The client and the order, percent-encoded: a colon occurs only between them.
    """
    parts = [order.order_id] if order.client_id is None else [order.client_id, order.order_id]
    return ":".join(quote(part, safe="") for part in parts)


def order_of(found: object, *, livemode: bool) -> Order | None:
    """Return the order that a custom_id names; None if it is not one of ours."""
    if not isinstance(found, str) or len(found) > MOST_CUSTOM_ID:
        return None
    parts = [unquote(part, errors="strict") for part in found.split(":")] if _decodes(found) else []
    if not 1 <= len(parts) <= 2 or not all(map(_is_a_name, parts)):
        return None
    order = Order(livemode, parts[0] if len(parts) == 2 else None, parts[-1])
    return order if custom_id(order) == found else None


def refund_name(order: Order, refund_id: str) -> str | None:
    """Return the custom_id of a refund: the client, the order and the refund, between commas.

    Without client and order if they make it too long: a refund is read from its order. None if
    PayPal cannot keep the refund_id. PayPal's description of a refund allows letters, digits and
    `-_.,` only.
    """
    parts = [order.order_id] if order.client_id is None else [order.client_id, order.order_id]
    for whole in ([*parts, refund_id], ["", refund_id]):
        name = ",".join(map(_escaped, whole))
        if len(name) <= MOST_CUSTOM_ID:
            return name
    return None


def refund_id_of(found: object, order: Order) -> str | None:
    """Return the refund_id that the custom_id of a refund of this order names, or None."""
    refund_id = _unescaped(found)[-1]
    return refund_id if refund_name(order, refund_id) == found else None


def order_of_refund(found: object, *, livemode: bool) -> Order | None:
    """Return the order that the custom_id of a refund names.

    A refund that this service made has its own name, one of the dashboard that of its payment.
    """
    parts = _unescaped(found)
    if not 2 <= len(parts) <= 3 or not all(map(_is_a_name, parts)):
        return order_of(found, livemode=livemode)
    order = Order(livemode, parts[0] if len(parts) == 3 else None, parts[-2])
    return order if refund_id_of(found, order) else None


def invoice_id(order: Order) -> str:
    """Return the invoice number: a pure function of the order, never of the attempt (rule 21).

    PayPal refuses a second captured payment with it. So it must not depend on anything that a
    lost record would change.
    """
    named = json.dumps([NAMESPACE, order.livemode, order.client_id, order.order_id])
    hashed = hashlib.sha256(named.encode()).hexdigest()[:16]
    readable = "".join(each for each in order.order_id if " " <= each <= "~")[:MOST_READABLE]
    return f"{readable}-{hashed}"


def _escaped(text: str) -> str:
    """Escape a part of a refund's name; no escape and no plain character is a comma."""
    quoted = quote(text, safe="").replace("_", "%5F").replace("~", "%7E")
    return quoted.replace("%", "_")


def _unescaped(found: object) -> list[str]:
    """Return the parts of a name; a single empty one if it is none."""
    named = found.replace("_", "%") if isinstance(found, str) else ""
    return [unquote(part) for part in named.split(",")] if _decodes(named) else [""]


def _decodes(found: str) -> bool:
    try:
        unquote(found, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _is_a_name(text: str) -> bool:
    try:
        return order_name(text) == text
    except ValueError:
        return False
