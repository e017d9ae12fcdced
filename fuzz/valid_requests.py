"""Adjust generated requests to the rules that JSON Schema cannot express.

Only for cases that must be valid; cases that must be rejected stay as generated.
"""

from __future__ import annotations

import itertools
from typing import Any

_NUMBER = itertools.count(1)

# Above the minimum charge of every currency, and a whole number of units in every currency.
LEAST_AMOUNT, WHOLE = 100_000, 100


def make_valid(body: Any) -> Any:
    """Return a body that satisfies the rules between fields, and Stripe's rules."""
    if not isinstance(body, dict):
        return body
    kept = {name: _printable(value) for name, value in body.items()}
    if "order_id" in kept:
        kept["order_id"] = f"{kept['order_id']}-{next(_NUMBER)}"[-200:]
    if kept.get("client_id") in ("", None):
        kept.pop("client_id", None)
    if isinstance(kept.get("amount"), int):
        kept["amount"] = max(LEAST_AMOUNT, kept["amount"] // WHOLE * WHOLE)
    for name, value in (
        # Stripe, not the schema, knows the currencies.
        ("currency", "EUR"),
        ("payment_method_types", ["card"]),
        ("payment_method_options", {}),
        ("customer", None),
        ("receipt_email", "a@shop.example"),
        ("statement_descriptor_suffix", "SHOP"),
    ):
        if kept.get(name) is not None:
            kept[name] = value
    return kept


def with_printable_texts(query: Any) -> Any:
    """Return a query without control characters."""
    return {name: _printable(value) for name, value in (query or {}).items()}


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(each for each in value if each.isprintable()).strip() or "x"
    if isinstance(value, dict):
        return {_printable(name)[:40]: _printable(each) for name, each in value.items()}
    # JSON Schema calls 5.0 an integer; the contract does not.
    return int(value) if isinstance(value, float) and value.is_integer() else value
