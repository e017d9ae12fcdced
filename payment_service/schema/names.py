"""The names of orders and clients."""

from __future__ import annotations

MAX_NAME_OF_ORDER = 200


def order_name(given: object) -> str:
    """Return an order_id or client_id as text; an integer becomes its decimal digits.

    Nothing is trimmed or folded: "a-1", "A-1" and "A-1 " are three orders. Raises ValueError.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str) or not 1 <= len(given) <= MAX_NAME_OF_ORDER:
        raise ValueError(
            f"must be text of 1 to {MAX_NAME_OF_ORDER} printable characters, "
            "or an integer of as many digits"
        )
    if not given.isprintable() or not given.strip():
        raise ValueError("must hold printable characters only, and not only spaces")
    return given
