"""The order that a provider's object names in its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from payment_service.key_store.contract import Order
from payment_service.schema.names import order_name


def order_named_in(metadata: Mapping[str, Any], *, livemode: bool) -> Order | None:
    """Return the order that the metadata names.

    None if that is no order of ours: for example, no store can hold half of a surrogate pair.
    """
    order_id, client_id = metadata.get("order_id"), metadata.get("client_id")
    if not (_is_a_name(order_id) and (client_id is None or _is_a_name(client_id))):
        return None
    return Order(livemode, client_id, order_id)


def _is_a_name(found: object) -> TypeGuard[str]:
    """Whether this is text that is valid as the name of an order or a client."""
    try:
        return isinstance(found, str) and order_name(found) == found
    except ValueError:
        return False
