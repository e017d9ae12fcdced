"""What each PaymentIntent endpoint takes: checked before the idempotency layer, never saved.

Source: docs.stripe.com/api/payment_intents, and for the versions docs.stripe.com/changelog.
"""

from __future__ import annotations

from sandbox.answers import refusal
from sandbox.currencies import check_amount
from sandbox.form import Form
from sandbox.parameters import Schema, check, missing
from sandbox.payment_intent_schemas import AT_CONFIRMATION, CONFIRM, CREATE, UPDATE
from sandbox.payment_method_types import ONLY_CURRENCIES, compatible, takes

# Versions by the day in their names (docs.stripe.com/changelog/dahlia and /endive).
ALLOWED_TYPES_SINCE = "2026-07-29"
TYPES_REMOVED_SINCE = "2026-09-30"


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
    checked = check(params, of_version(UPDATE, params, version))
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
            missing(f"{name}[{term}]")
    wants_interval = mandate["payment_schedule"] in ("interval", "combined")
    if wants_interval and not mandate.get("interval_description"):
        missing(f"{name}[interval_description]")


def _only_with_confirm(checked: Form) -> None:
    if checked.get("confirm"):
        return
    for name in AT_CONFIRMATION:
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
