"""What each PaymentIntent endpoint takes: checked before the idempotency layer, never saved.

Source: docs.stripe.com/api/payment_intents, and for the versions docs.stripe.com/changelog.
"""

from __future__ import annotations

from typing import Any

from sandbox.answers import refusal
from sandbox.currencies import check_amount, checked_currency
from sandbox.form import Form
from sandbox.parameters import (
    Schema,
    anything,
    array,
    boolean,
    check,
    choice,
    email,
    integer,
    metadata,
    nested,
    text,
    url,
)
from sandbox.payment_method_types import ONLY_CURRENCIES, TYPES, compatible, takes

# Versions by the day in their names (docs.stripe.com/changelog/dahlia and /endive).
ALLOWED_TYPES_SINCE = "2026-07-29"
TYPES_REMOVED_SINCE = "2026-09-30"

EXPANDABLE = ("latest_charge", "payment_method", "customer")


def _type(name: str, value: Any) -> str:
    if value not in TYPES:
        raise refusal(f"Invalid {name}: must be one of {', '.join(sorted(TYPES))}", param=name)
    return str(value)


def _expand(name: str, value: Any) -> str:
    raise refusal(f"This property cannot be expanded in the sandbox ({value}).", param=name)


def _currency(name: str, value: Any) -> str:
    return checked_currency(text(unset=False)(name, value))


_USAGE = choice("off_session", "on_session", "none", unset=True)

_MANDATE: Schema = {
    "custom_mandate_url": text(),
    "interval_description": text(500),
    "payment_schedule": choice("combined", "interval", "sporadic"),
    "transaction_type": choice("business", "personal"),
}
_METHOD_OPTIONS: Schema = {
    **dict.fromkeys(TYPES, anything),
    "acss_debit": nested(
        {
            "mandate_options": nested(_MANDATE),
            "setup_future_usage": _USAGE,
            "verification_method": choice("automatic", "instant", "microdeposits"),
            "target_date": text(),
        }
    ),
}

COMMON: Schema = {
    "allowed_payment_method_types": array(_type),
    "amount_details": anything,
    "capture_method": choice("automatic", "automatic_async", "manual"),
    "excluded_payment_method_types": array(_type),
    "expand": array(_expand),
    "hooks": anything,
    "payment_details": anything,
    "payment_method": text(),
    "payment_method_data": anything,
    "payment_method_options": nested(_METHOD_OPTIONS),
    "payment_method_types": array(_type),
    "receipt_email": email,
    "setup_future_usage": _USAGE,
    "shipping": anything,
}
_WRITABLE: Schema = {
    **COMMON,
    "amount": integer,
    "application_fee_amount": integer,
    "currency": _currency,
    "customer": text(),
    "customer_account": text(),
    "description": text(1000),
    "metadata": metadata,
    "payment_method_configuration": text(100),
    "statement_descriptor": text(22),
    "statement_descriptor_suffix": text(22),
    "transfer_data": anything,
    "transfer_group": text(),
}
_AT_CONFIRMATION: Schema = {
    "confirmation_token": text(),
    "error_on_requires_action": boolean,
    "mandate": text(),
    "mandate_data": anything,
    "off_session": boolean,
    "radar_options": anything,
    "return_url": url,
    "use_stripe_sdk": boolean,
}
_AUTOMATIC: Schema = {"enabled": boolean, "allow_redirects": choice("always", "never")}

CREATE: Schema = {
    **_WRITABLE,
    **_AT_CONFIRMATION,
    "automatic_payment_methods": nested(_AUTOMATIC, required=["enabled"]),
    "confirm": boolean,
    "confirmation_method": choice("automatic", "manual"),
    "on_behalf_of": text(),
}
CONFIRM: Schema = {
    **COMMON,
    **_AT_CONFIRMATION,
    "amount_to_confirm": integer,
    "client_secret": text(),
    "expected_payment_method_type": text(),
}
_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
CANCEL: Schema = {"cancellation_reason": choice(*_REASONS), "expand": COMMON["expand"]}
CAPTURE: Schema = {
    "amount_to_capture": integer,
    "application_fee_amount": integer,
    "expand": COMMON["expand"],
    "final_capture": boolean,
    "metadata": metadata,
    "statement_descriptor": text(22),
    "statement_descriptor_suffix": text(22),
}
RETRIEVE: Schema = {"client_secret": text(), "expand": COMMON["expand"]}


def check_create(params: Form, version: str) -> Form:
    """Everything that can be said of a new PaymentIntent without executing it."""
    checked = check(params, of_version(CREATE, params, version), ("amount", "currency"))
    check_amount(checked["amount"], checked["currency"])
    _only_with_confirm(checked)
    _one_way_of_choosing(checked)
    check_types(checked, checked["currency"])
    return checked


def check_update(params: Form, version: str) -> Form:
    """What can be said of an update without knowing the PaymentIntent."""
    checked = check(params, of_version(_WRITABLE, params, version))
    if "amount" in checked:
        check_amount(checked["amount"], checked.get("currency", "usd"))
    return checked


def check_confirm(params: Form, version: str) -> Form:
    """What can be said of a confirmation without knowing the PaymentIntent."""
    return check(params, of_version(CONFIRM, params, version))


def of_version(schema: Schema, params: Form, version: str) -> Schema:
    """The schema as the API version has it; refuses the type list of yesterday by its code."""
    day = version[:10]
    if "payment_method_types" in params and day >= TYPES_REMOVED_SINCE:
        raise refusal(
            "The payment_method_types parameter is no longer supported on this API version. Use "
            "dynamic payment methods, allowed_payment_method_types or "
            "excluded_payment_method_types instead.",
            code="payment_method_types_no_longer_supported",
            param="payment_method_types",
        )
    if "allowed_payment_method_types" in params and day < ALLOWED_TYPES_SINCE:
        return {k: v for k, v in schema.items() if k != "allowed_payment_method_types"}
    return schema


def check_types(checked: Form, currency: str) -> None:
    """Each asked-for type must take the currency; acss_debit needs its mandate's terms."""
    asked = checked.get("payment_method_types", ())
    for kind in asked:
        if not takes(kind, currency):
            only = ", ".join(ONLY_CURRENCIES[kind])
            message = (
                f"The payment method `{kind}` cannot be used with the currency {currency}: it "
                f"only supports the following currencies: {only}."
            )
            raise refusal(message, code="payment_intent_invalid_parameter", param="currency")
    allowed = checked.get("allowed_payment_method_types", ())
    if allowed and not compatible(allowed, currency):
        raise _no_valid_type(currency)
    if "acss_debit" in (*asked, *compatible(allowed, currency)):
        _check_mandate(checked)


def _check_mandate(checked: Form) -> None:
    acss = checked.get("payment_method_options", {}).get("acss_debit", {})
    mandate = acss.get("mandate_options", {})
    name = "payment_method_options[acss_debit][mandate_options]"
    for term in ("payment_schedule", "transaction_type"):
        if term not in mandate:
            _missing(f"{name}[{term}]")
    wants_interval = mandate["payment_schedule"] in ("interval", "combined")
    if wants_interval and not mandate.get("interval_description"):
        _missing(f"{name}[interval_description]")


def _missing(name: str) -> None:
    raise refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)


def _only_with_confirm(checked: Form) -> None:
    if checked.get("confirm"):
        return
    for name in _AT_CONFIRMATION:
        if name in checked and name not in ("radar_options", "use_stripe_sdk"):
            message = f"You cannot provide `{name}` unless `confirm` is true."
            raise refusal(message, param=name)


def _one_way_of_choosing(checked: Form) -> None:
    ways = (
        "allowed_payment_method_types",
        "payment_method_types",
        "automatic_payment_methods",
    )
    given = [way for way in ways if way in checked]
    if "allowed_payment_method_types" in checked:
        given += [
            other
            for other in ("excluded_payment_method_types", "payment_method_configuration")
            if other in checked
        ]
    if len(given) > 1:
        message = f"You may only specify one of these parameters: {', '.join(given)}."
        raise refusal(message, param=given[1])


def _no_valid_type(currency: str) -> Exception:
    return refusal(
        "No valid payment method types for this configuration. Please ensure that you have "
        f"activated payment methods compatible with your chosen currency ({currency}).",
        code="payment_intent_invalid_parameter",
        param="allowed_payment_method_types",
    )
