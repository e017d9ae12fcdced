"""Validation of PaymentIntent parameters, before the idempotency layer: its errors are not saved.

Sources: docs.stripe.com/api/payment_intents, and docs.stripe.com/changelog for the versions.
"""

from __future__ import annotations

from sandbox.answers import refusal
from sandbox.currencies import check_amount
from sandbox.form import Form
from sandbox.parameters import Schema, check, missing
from sandbox.payment_intent_schemas import AT_CONFIRMATION, CONFIRM, CREATE, UPDATE
from sandbox.payment_method_types import ONLY_CURRENCIES, compatible, takes

# API versions, compared by the date in their names (docs.stripe.com/changelog/dahlia and /endive).
ALLOWED_TYPES_SINCE = "2026-07-29"
TYPES_REMOVED_SINCE = "2026-09-30"


def check_create(params: Form, version: str) -> Form:
    """Validate the parameters of a creation, as far as possible without executing it."""
    checked = check(params, schema_for_version(CREATE, params, version), ("amount", "currency"))
    check_amount(checked["amount"], checked["currency"], _named_types(checked))
    _check_confirm_only(checked)
    _check_one_type_selection(checked)
    check_types(checked, checked["currency"])
    return checked


def check_update(params: Form, version: str) -> Form:
    """Validate the parameters of an update, without looking at the PaymentIntent."""
    checked = check(params, schema_for_version(UPDATE, params, version))
    if "amount" in checked:
        check_amount(checked["amount"], checked.get("currency", "usd"))
    return checked


def check_confirm(params: Form, version: str) -> Form:
    """Validate the parameters of a confirmation, without looking at the PaymentIntent."""
    return check(params, schema_for_version(CONFIRM, params, version))


def schema_for_version(schema: Schema, params: Form, version: str) -> Schema:
    """Return the schema of the API version; reject payment_method_types if it was removed."""
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
    """Require that each type supports the currency, and that acss_debit has mandate terms."""
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


def _named_types(checked: Form) -> list[str]:
    return [
        *checked.get("payment_method_types", ()),
        *checked.get("allowed_payment_method_types", ()),
    ]


def _check_mandate(checked: Form) -> None:
    acss = checked.get("payment_method_options", {}).get("acss_debit", {})
    mandate = acss.get("mandate_options", {})
    name = "payment_method_options[acss_debit][mandate_options]"
    for term in ("payment_schedule", "transaction_type"):
        if term not in mandate:
            missing(f"{name}[{term}]")
    wants_interval = mandate["payment_schedule"] in ("interval", "combined")
    if wants_interval and not mandate.get("interval_description"):
        missing(f"{name}[interval_description]")


def _check_confirm_only(checked: Form) -> None:
    if checked.get("confirm"):
        return
    for name in AT_CONFIRMATION:
        if name in checked and name not in ("radar_options", "use_stripe_sdk"):
            message = f"You cannot provide `{name}` unless `confirm` is true."
            raise refusal(message, param=name)


def _check_one_type_selection(checked: Form) -> None:
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
