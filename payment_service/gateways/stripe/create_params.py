"""Requests as Stripe's parameters. The same request always gives the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from payment_service.gateways.payment_fields import PaymentFields

# Versions are compared by the date in their names. This one introduced
# allowed_payment_method_types, the only such parameter since 2026-09-30 (endive): since then Stripe
# answers payment_method_types with 400.
# docs.stripe.com/changelog/dahlia/2026-07-29/allowed-payment-method-types-parameter
# docs.stripe.com/changelog/endive/2026-09-30/removes-the-payment-method-types-parameter-from-
# payment-intents-and-setup-intents
ALLOWED_TYPES_SINCE = "2026-07-29"

# Since this version, automatic payment methods are the default of a PaymentIntent.
# docs.stripe.com/changelog/2023-08-16
AUTOMATIC_SINCE = "2023-08-16"

# Fields that Stripe has under the same names.
_SAME_NAMES = (
    "payment_method_options",
    "description",
    "receipt_email",
    "customer",
    "capture_method",
    "setup_future_usage",
    "statement_descriptor_suffix",
)


def create_params(payment: PaymentFields, api_version: str) -> dict[str, Any]:
    """Return the parameters of a creation; the metadata names the order."""
    ours = {"order_id": payment.order_id, "client_id": payment.client_id}
    return {
        "amount": payment.amount,
        "currency": payment.currency,
        "metadata": {**(payment.metadata or {}), **_given(ours)},
        **types_param(payment.payment_method_types, api_version),
        **_same_names(payment),
    }


def update_params(payment: PaymentFields, currency: str | None, api_version: str) -> dict[str, Any]:
    """Return the parameters of an update; absent fields keep their values."""
    types = payment.payment_method_types
    metadata = {"metadata": payment.metadata} if payment.metadata else {}
    return {
        "amount": payment.amount,
        "currency": currency,
        **({} if types is None else types_param(types, api_version)),
        **_same_names(payment),
        **metadata,
    }


def types_param(types: Sequence[str] | None, api_version: str) -> dict[str, Any]:
    """Return the parameter that tells Stripe which types to offer; None lets Stripe choose."""
    if types is None:
        automatic = {"automatic_payment_methods": {"enabled": True}}
        return automatic if api_version[:10] < AUTOMATIC_SINCE else {}
    if api_version[:10] >= ALLOWED_TYPES_SINCE:
        return {"allowed_payment_method_types": types}
    return {"payment_method_types": types}


def _same_names(payment: PaymentFields) -> dict[str, Any]:
    return _given({name: getattr(payment, name) for name in _SAME_NAMES})


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, {})}
