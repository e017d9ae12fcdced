"""The PaymentIntent endpoints: the execution of each."""

from __future__ import annotations

from sandbox import lifecycle
from sandbox.answers import JsonObject, refusal
from sandbox.confirmation import (
    attached_method,
    attempt,
    check_client_secret,
    checked_method,
    requested_method,
)
from sandbox.currencies import check_amount, check_minimum
from sandbox.form import Form
from sandbox.moment import Moment
from sandbox.payment_intent_object import COPIED_FIELDS, build_intent, merged_metadata
from sandbox.payment_intent_parameters import check_types

_ALWAYS_UPDATABLE = frozenset({"metadata", "description", "expand"})


def create(moment: Moment, _: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents."""
    check_minimum(params["amount"], params["currency"])
    _check_customer(params)
    intent = build_intent(moment, params)
    method = requested_method(moment, params)
    if method:
        intent |= {"payment_method": method[0], "status": "requires_confirmation"}
    if params.get("confirm"):
        checked_method(intent, method, params)
    moment.ledger.add(intent, moment.now)
    moment.publish("payment_intent.created", intent, moment.now)
    return attempt(moment, intent, method, params) if params.get("confirm") else intent


def retrieve(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """GET /v1/payment_intents/:id."""
    intent = moment.ledger.get(intent_id)
    if moment.caller.publishable:
        check_client_secret(intent, params)
    return intent


def update(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id."""
    intent = moment.ledger.get(intent_id)
    if not params.keys() <= _ALWAYS_UPDATABLE:
        lifecycle.require_status(intent, "update", "updated", lifecycle.OPEN)
    wanted = {**intent, **params}
    check_amount(wanted["amount"], wanted["currency"], wanted["payment_method_types"])
    check_minimum(wanted["amount"], wanted["currency"])
    check_types(params, wanted["currency"])
    _check_customer(params)
    changes = {name: params[name] for name in COPIED_FIELDS if name in params}
    for name in ("amount", "currency", "capture_method"):
        if name in params:
            changes[name] = params[name]
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    method = requested_method(moment, params)
    if method:
        changes |= {"payment_method": method[0], "status": "requires_confirmation"}
    return moment.change(intent, **changes)


def confirm(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id/confirm."""
    intent = moment.ledger.get(intent_id)
    if moment.caller.publishable:
        check_client_secret(intent, params)
    lifecycle.require_status(intent, "confirm", "confirmed", lifecycle.OPEN)
    method = requested_method(moment, params) or attached_method(moment, intent)
    return attempt(moment, intent, method, params)


def cancel(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id/cancel."""
    intent = moment.ledger.get(intent_id)
    lifecycle.require_status(intent, "cancel", "canceled", lifecycle.CANCELABLE)
    return lifecycle.cancel(moment, intent, params.get("cancellation_reason"))


def capture(moment: Moment, intent_id: str, params: Form) -> JsonObject:
    """POST /v1/payment_intents/:id/capture."""
    intent = moment.ledger.get(intent_id)
    _check_capturable(intent)
    if params.get("final_capture") is False:
        message = "The sandbox captures a PaymentIntent once: multicapture is unavailable."
        raise refusal(message, param="final_capture")
    amount: int = {"amount_to_capture": intent["amount_capturable"], **params}["amount_to_capture"]
    _check_capture_amount(intent, amount)
    changes = {name: params[name] for name in COPIED_FIELDS if name in params}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    return lifecycle.capture(moment, intent, amount, changes)


def _check_capturable(intent: JsonObject) -> None:
    if intent["status"] == "requires_capture":
        return
    message = (
        f"This PaymentIntent could not be captured because it has a status of {intent['status']}. "
        "Only a PaymentIntent with one of the following statuses may be captured: "
        "requires_capture."
    )
    if intent["status"] == "succeeded":
        message = (
            "The remaining amount on this PaymentIntent could not be captured because the "
            "remainder of the authorized amount has been released."
        )
    raise refusal(message, code="payment_intent_unexpected_state", payment_intent=intent)


def _check_capture_amount(intent: JsonObject, amount: int) -> None:
    if amount < 0:
        message = "Invalid non-negative integer"
        raise refusal(message, param="amount_to_capture", payment_intent=intent)
    if amount == 0:
        # Stripe names this parameter, although the request has no `amount`.
        message = "This value must be greater than or equal to 1."
        code = "parameter_invalid_integer"
        raise refusal(message, code=code, param="amount", payment_intent=intent)
    if amount > intent["amount_capturable"]:
        raise refusal(
            "The payment could not be captured because the requested capture amount is greater "
            "than the amount you can capture for this charge. Contact us via "
            "https://support.stripe.com/contact/ for help.",
            code="amount_too_large",
            payment_intent=intent,
        )


def _check_customer(params: Form) -> None:
    customer = params.get("customer")
    if customer and (not customer.startswith("cus_") or "missing" in customer):
        message = f"No such customer: '{customer}'"
        raise refusal(message, code="resource_missing", param="customer")
