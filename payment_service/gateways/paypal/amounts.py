"""PayPal's decimal amounts, converted from and to the currency's smallest unit."""

from __future__ import annotations

import re

# The currencies of orders that PayPal may take over. Their decimals are the same at Stripe and at
# PayPal; those of HUF and TWD, for example, are not.
DECIMALS = {"aud": 2, "cad": 2, "eur": 2, "gbp": 2, "jpy": 0, "usd": 2}

# 422 MAX_VALUE_EXCEEDED: "Should be less than or equal to 999999999999999.99."
MOST_WHOLE_DIGITS = 15

_VALUE = re.compile(r"(?P<whole>[0-9]{1,30})(?:\.(?P<fraction>[0-9]{1,30}))?")


def value_of(amount: int, currency: str) -> str:
    """Return an amount as PayPal writes it, such as 10.99. Raises KeyError for the currency."""
    decimals = DECIMALS[currency]
    if not decimals:
        return str(amount)
    whole, fraction = divmod(amount, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}"


def amount_of(value: object, currency: str) -> int:
    """Return a value of PayPal's in the smallest unit.

    Raises KeyError for the currency, ValueError for a value that is no such amount.
    """
    decimals = DECIMALS[currency]
    found = _VALUE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("no amount")
    fraction = (found["fraction"] or "").ljust(decimals, "0")
    if set(fraction[decimals:]) - {"0"}:
        raise ValueError("an amount with more decimals than its currency has")
    return int(found["whole"] + fraction[:decimals])
