"""Converts an order to the text key that the stores index by, and back."""

from __future__ import annotations

from payment_service.key_store.contract import Order

NO_CLIENT = "-"


def order_key(order: Order) -> str:
    """Write an order as `test:-:A-1`, or `test:4:shop:A-1` where it has a client.

    The length prefix of the client id keeps keys unique even if names contain colons.
    """
    return client_key(order.livemode, order.client_id) + order.order_id


def mode_key(livemode: bool) -> str:
    """Return the beginning of the keys of a mode's orders."""
    return "live:" if livemode else "test:"


def client_key(livemode: bool, client_id: str | None) -> str:
    """Return the beginning of the keys of a client's orders, or of those without a client."""
    if client_id is None:
        return f"{mode_key(livemode)}{NO_CLIENT}:"
    return f"{mode_key(livemode)}{len(client_id)}:{client_id}:"


def order_of(key: str) -> Order:
    """Parse a key that `order_key` made."""
    mode, length, rest = key.split(":", 2)
    if length == NO_CLIENT:
        return Order(mode == "live", None, rest)
    end = int(length)
    return Order(mode == "live", rest[:end], rest[end + 1 :])
