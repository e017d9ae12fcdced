"""Checks of a creation's body. Stricter than PayPal: a field that it does not know is rejected."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sandbox.answers import JsonObject
from sandbox.paypal.refusals import Refusal

# developer.paypal.com/api/rest/reference/currency-codes: the decimals that an amount may have.
_TWO_DECIMALS = """
AUD BRL CAD CNY CZK DKK EUR GBP HKD ILS MXN MYR NOK NZD PHP PLN SEK SGD CHF THB USD
"""
DECIMALS = dict.fromkeys(_TWO_DECIMALS.split(), 2) | {"HUF": 0, "JPY": 0, "TWD": 0}

MOST_WHOLE_DIGITS = 15

_VALUE = re.compile(r"-?[0-9]+|-?([0-9]+)?[.][0-9]+")
_URL = re.compile(r"https?://[^\s]+")

_CHOICES = {
    "user_action": ("CONTINUE", "PAY_NOW"),
    "shipping_preference": ("GET_FROM_FILE", "NO_SHIPPING", "SET_PROVIDED_ADDRESS"),
    "landing_page": ("LOGIN", "GUEST_CHECKOUT", "NO_PREFERENCE"),
    "payment_method_preference": ("UNRESTRICTED", "IMMEDIATE_PAYMENT_REQUIRED"),
}


def checked(body: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Return the purchase unit and the experience context. Raises a Refusal."""
    check_names(body, "", ("intent", "purchase_units", "payment_source"))
    _choice(body, "", "intent", ("CAPTURE",), required=True)
    units = value_in(body, "", "purchase_units", list, required=True)
    if len(units) != 1:
        issue = "INVALID_ARRAY_MAX_ITEMS" if units else "INVALID_ARRAY_MIN_ITEMS"
        raise Refusal(400, issue, field="/purchase_units")
    unit, path = units[0], "/purchase_units/0"
    check_names(unit, path, ("custom_id", "invoice_id", "description", "amount", "reference_id"))
    for name, most in (("custom_id", 127), ("invoice_id", 127), ("description", 127)):
        check_text(unit, path, name, most)
    check_amount(value_in(unit, path, "amount", dict, required=True), f"{path}/amount")
    return unit, _context(body)


def _context(body: JsonObject) -> JsonObject:
    source = value_in(body, "", "payment_source", dict, required=True)
    check_names(source, "/payment_source", ("paypal",))
    wallet = value_in(source, "/payment_source", "paypal", dict, required=True)
    path = "/payment_source/paypal"
    check_names(wallet, path, ("experience_context",))
    context: JsonObject = value_in(wallet, path, "experience_context", dict, required=True)
    path += "/experience_context"
    check_names(context, path, ("return_url", "cancel_url", "brand_name", *_CHOICES))
    for name in ("return_url", "cancel_url"):
        if not _URL.fullmatch(value_in(context, path, name, str, required=True)):
            raise Refusal(400, "INVALID_PARAMETER_SYNTAX", field=f"{path}/{name}")
    check_text(context, path, "brand_name", 127)
    for name, allowed in _CHOICES.items():
        _choice(context, path, name, allowed)
    return context


def check_amount(amount: JsonObject, path: str) -> None:
    """Raise a Refusal for an amount that PayPal cannot take."""
    check_names(amount, path, ("currency_code", "value"))
    currency = value_in(amount, path, "currency_code", str, required=True)
    value = value_in(amount, path, "value", str, required=True)
    if len(currency) != 3:
        raise Refusal(400, "INVALID_STRING_LENGTH", field=f"{path}/currency_code")
    if len(value) > 32 or not _VALUE.fullmatch(value):
        raise Refusal(400, "INVALID_PARAMETER_SYNTAX", field=f"{path}/value")
    if currency not in DECIMALS:
        raise Refusal(422, "INVALID_CURRENCY_CODE", field=f"{path}/currency_code")
    whole, _, fraction = value.partition(".")
    if len(fraction) > DECIMALS[currency]:
        raise Refusal(422, "DECIMAL_PRECISION", field=f"{path}/value")
    if len(whole) > MOST_WHOLE_DIGITS:
        raise Refusal(422, "MAX_VALUE_EXCEEDED", field=f"{path}/value")
    if float(value) <= 0:
        raise Refusal(422, "CANNOT_BE_ZERO_OR_NEGATIVE", field=f"{path}/value")


def check_names(within: Any, path: str, names: Iterable[str]) -> None:
    """Raise a Refusal for a field that is not one of these."""
    if not isinstance(within, dict):
        raise Refusal(400, "INVALID_PARAMETER_SYNTAX", field=path)
    for name in within.keys() - set(names):
        raise Refusal(400, "NOT_SUPPORTED", field=f"{path}/{name}")


def value_in(
    within: JsonObject, path: str, name: str, kind: type[Any], *, required: bool = False
) -> Any:
    """Return a field of this type, None if it is absent. Raises a Refusal."""
    if name not in within:
        if required:
            raise Refusal(400, "MISSING_REQUIRED_PARAMETER", field=f"{path}/{name}")
        return None
    if not isinstance(within[name], kind):
        raise Refusal(400, "INVALID_PARAMETER_SYNTAX", field=f"{path}/{name}")
    return within[name]


def check_text(within: JsonObject, path: str, name: str, most: int) -> None:
    """Raise a Refusal for a text that is empty or too long."""
    found = value_in(within, path, name, str)
    if found is not None and not 1 <= len(found) <= most:
        raise Refusal(400, "INVALID_STRING_LENGTH", field=f"{path}/{name}")


def _choice(
    within: JsonObject, path: str, name: str, allowed: tuple[str, ...], *, required: bool = False
) -> None:
    found = value_in(within, path, name, str, required=required)
    if found is not None and found not in allowed:
        raise Refusal(400, "INVALID_PARAMETER_VALUE", field=f"{path}/{name}")
