"""The form and order of payment method types in a request."""

from __future__ import annotations

import re

MAX_TYPES = 50
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{1,49}")


def checked_types(given: list[str]) -> list[str]:
    """Return the types sorted: their order has no meaning and must not change the fingerprint."""
    if not 1 <= len(given) <= MAX_TYPES or len(set(given)) < len(given):
        raise ValueError(f'must be 1 to {MAX_TYPES} different types, like ["card"]')
    if not all(TYPE_NAME.fullmatch(name) for name in given):
        raise ValueError('must hold names of Stripe\'s types, like "card" or "us_bank_account"')
    return sorted(given)
