"""Payment method types: their parameter names at Stripe, and the combinations Stripe rejects.

This module checks only combinations that Stripe rejects for every account; Stripe checks the rest.
"""

from __future__ import annotations

import re
from typing import Any

# Versions are compared by the date in their names. This one introduced
# allowed_payment_method_types, the only such parameter since 2026-09-30 (endive): since then Stripe
# answers payment_method_types with 400.
# docs.stripe.com/changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter
# docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-
# payment-intents-and-setup-intents
ALLOWED_TYPES_SINCE = "2026-07-29"

MAX_TYPES = 50
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{1,49}")

# Since this version, automatic payment methods are the default of a PaymentIntent.
# docs.stripe.com/changelog/2023-08-16
AUTOMATIC_SINCE = "2023-08-16"

# docs.stripe.com/payments/ach-direct-debit, /payments/acss-debit, /terminal/payments/regional
ONLY_CURRENCIES = {
    "us_bank_account": ("usd",),
    "acss_debit": ("cad", "usd"),
    "interac_present": ("cad",),
}

# docs.stripe.com/payments/acss-debit/accept-a-payment: Stripe rejects the type without the terms
# of the mandate.
SCHEDULES = ("combined", "interval", "sporadic")
TRANSACTION_TYPES = ("business", "personal")
MANDATE = "payment_method_options.acss_debit.mandate_options"


def checked_types(given: list[str]) -> list[str]:
    """Return the types sorted: their order has no meaning and must not change the fingerprint."""
    if not 1 <= len(given) <= MAX_TYPES or len(set(given)) < len(given):
        raise ValueError(f'must be 1 to {MAX_TYPES} different types, like ["card"]')
    if not all(TYPE_NAME.fullmatch(name) for name in given):
        raise ValueError('must hold names of Stripe\'s types, like "card" or "us_bank_account"')
    return sorted(given)


def types_param(types: list[str] | None, api_version: str) -> dict[str, Any]:
    """Return the parameter that tells Stripe which types to offer; None lets Stripe choose."""
    if types is None:
        automatic = {"automatic_payment_methods": {"enabled": True}}
        return automatic if api_version[:10] < AUTOMATIC_SINCE else {}
    if api_version[:10] >= ALLOWED_TYPES_SINCE:
        return {"allowed_payment_method_types": types}
    return {"payment_method_types": types}


def check_types(types: list[str], currency: str, options: dict[str, Any]) -> None:
    """Raise ValueError for a type that cannot take the currency or lacks its mandate's terms."""
    for name in types:
        allowed = ONLY_CURRENCIES.get(name, (currency,))
        if currency not in allowed:
            raise ValueError(f"currency: {name} takes only {' and '.join(allowed)}")
    if "acss_debit" in types:
        terms = options.get("acss_debit", {}).get("mandate_options")
        _check_mandate(terms if isinstance(terms, dict) else {})


def _check_mandate(terms: dict[str, Any]) -> None:
    _one_of(terms, "payment_schedule", SCHEDULES)
    _one_of(terms, "transaction_type", TRANSACTION_TYPES)
    if terms["payment_schedule"] != "sporadic" and not terms.get("interval_description"):
        raise ValueError(
            f"{MANDATE}.interval_description: must say when, because payment_schedule is "
            f"{terms['payment_schedule']}"
        )


def _one_of(terms: dict[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if terms.get(name) not in allowed:
        raise ValueError(f"{MANDATE}.{name}: must be one of {', '.join(allowed)}")
