"""Combinations of fields that Stripe rejects for every account; Stripe checks the rest.

Sources: docs.stripe.com/currencies, "Special cases"; the pages of the payment methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from payment_service.errors import BadRequest
from payment_service.gateways.payment_fields import PaymentFields

# The amount is the number of whole units: 500 is 500 yen.
_NO_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
ZERO_DECIMAL = frozenset(_NO_DECIMALS.split())

# The amount has three decimals, of which the card networks settle two.
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})

# These no longer have decimals, but the API still expects two, as before.
WHOLE_UNITS = frozenset({"isk", "ugx"})

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


def check_creation(payment: PaymentFields) -> None:
    """Raise BadRequest for a creation that Stripe certainly rejects."""
    currency = str(payment.currency)
    check_amount(payment.amount, currency)
    options = payment.payment_method_options or {}
    _check_types(payment.payment_method_types or (), currency, options)


def check_amount(amount: int, currency: str, field: str = "amount") -> None:
    """Raise BadRequest for an amount that the currency cannot have; `field` holds it."""
    if currency in WHOLE_UNITS and amount % 100:
        raise _rejected(
            field,
            f"{currency} is sent with two decimals that must be 00, so 5 {currency} is 500",
        )
    if currency in THREE_DECIMAL and amount % 10:
        raise _rejected(
            field,
            f"{currency} has three decimals and the last digit must be 0, "
            f"so 5.12 {currency} is 5120",
        )


def _check_types(types: Sequence[str], currency: str, options: Mapping[str, Any]) -> None:
    for name in types:
        allowed = ONLY_CURRENCIES.get(name, (currency,))
        if currency not in allowed:
            raise _rejected("currency", f"{name} takes only {' and '.join(allowed)}")
    if "acss_debit" in types:
        terms = options.get("acss_debit", {}).get("mandate_options")
        _check_mandate(terms if isinstance(terms, dict) else {})


def _check_mandate(terms: Mapping[str, Any]) -> None:
    _one_of(terms, "payment_schedule", SCHEDULES)
    _one_of(terms, "transaction_type", TRANSACTION_TYPES)
    if terms["payment_schedule"] != "sporadic" and not terms.get("interval_description"):
        raise _rejected(
            f"{MANDATE}.interval_description",
            f"must say when, because payment_schedule is {terms['payment_schedule']}",
        )


def _one_of(terms: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if terms.get(name) not in allowed:
        raise _rejected(f"{MANDATE}.{name}", f"must be one of {', '.join(allowed)}")


def _rejected(field: str, rule: str) -> BadRequest:
    return BadRequest(f"{field}: {rule}", param=field)
