"""Checks of currencies and amounts that fail only for what Stripe certainly rejects.

Source: docs.stripe.com/currencies, "Special cases" and "Minimum and maximum charge amounts".
Stripe checks the rest. Its list of currencies grows, the minimum charge depends on the account's
own currency, and the maximum on the payment method.
"""

from __future__ import annotations

import re

# The amount is the number of whole units: 500 is 500 yen.
_NO_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
ZERO_DECIMAL = frozenset(_NO_DECIMALS.split())

# The amount has three decimals, of which the card networks settle two.
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

# These no longer have decimals, but the API still expects two, as before.
WHOLE_UNITS = frozenset({"isk", "ugx"})

# The most digits that Stripe accepts: 12, for cards and in IDR.
MIN_AMOUNT, MAX_AMOUNT = 1, 999_999_999_999

# ASCII only: lower() turns the Kelvin sign into a plain k.
CODE = re.compile("[A-Za-z]{3}")


def currency_code(text: str) -> str:
    """Return the code in lower case; raises ValueError for text that is no ISO 4217 code."""
    if not CODE.fullmatch(text):
        raise ValueError("must be the three ISO 4217 letters of a currency, like usd")
    return text.lower()


def check_amount(amount: int, currency: str) -> None:
    """Raise ValueError for an amount that the currency cannot have."""
    if currency in WHOLE_UNITS and amount % 100:
        raise ValueError(
            f"amount: {currency} is sent with two decimals that must be 00, so 5 {currency} is 500"
        )
    if currency in THREE_DECIMAL and amount % 10:
        raise ValueError(
            f"amount: {currency} has three decimals and the last digit must be 0, "
            f"so 5.12 {currency} is 5120"
        )
