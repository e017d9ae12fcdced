"""POST /v1/refunds: its parameters, and the charge that it refunds."""

from __future__ import annotations

from typing import Any

from sandbox import refunds
from sandbox.answers import JsonObject, refusal
from sandbox.expansion import expandable
from sandbox.form import Form
from sandbox.moment import Moment
from sandbox.parameters import Schema, check, choice, email, integer, metadata, text


def _amount(name: str, value: Any) -> int:
    found = integer(name, value)
    if found < 1:
        message = "This value must be greater than or equal to 1."
        raise refusal(message, code="parameter_invalid_integer", param=name)
    return found


_SCHEMA: Schema = {
    "amount": _amount,
    "charge": text(unset=False),
    "expand": expandable("refund"),
    "instructions_email": email,
    "metadata": metadata,
    "payment_intent": text(unset=False),
    "reason": choice("duplicate", "fraudulent", "requested_by_customer"),
}


def check_create(params: Form, _: str) -> Form:
    """Validate the parameters of a refund, without looking at the charge."""
    checked = check(params, _SCHEMA)
    if not checked.keys() & {"charge", "payment_intent"}:
        raise refusal(
            "One of the following params should be provided for this request: payment_intent or "
            "charge."
        )
    return checked


def create(moment: Moment, _: str, params: Form) -> JsonObject:
    """POST /v1/refunds."""
    return refunds.create(moment, _refunded_charge(moment, params), params)


def _refunded_charge(moment: Moment, params: Form) -> JsonObject:
    if "charge" in params:
        # Stripe names `id` here, as if the charge were in the path.
        return moment.ledger.charges.get(params["charge"])
    intent = moment.ledger.get(params["payment_intent"], "payment_intent", status=400)
    if intent["latest_charge"] is None:
        raise refunds.no_charge(intent["id"])
    return moment.ledger.charges.get(intent["latest_charge"])
