"""The form of currencies and amounts in a request.

Source: docs.stripe.com/currencies, "Minimum and maximum charge amounts". The gateway checks the
rest: lists of currencies grow, the minimum charge depends on the account's own currency, and the
maximum on the payment method.
"""

from __future__ import annotations

import re

# The most digits that Stripe accepts: 12, for cards and in IDR.
MIN_AMOUNT, MAX_AMOUNT = 1, 999_999_999_999

# ASCII only: lower() turns the Kelvin sign into a plain k.
CODE = re.compile("[A-Za-z]{3}")


def currency_code(text: str) -> str:
    """Return the code in lower case; raises ValueError for text that is no ISO 4217 code."""
    if not CODE.fullmatch(text):
        raise ValueError("must be the three ISO 4217 letters of a currency, like usd")
    return text.lower()
