"""The PaymentIntent object: its initial state, and the part that a browser sees."""

from __future__ import annotations

from typing import Any

from sandbox.answers import JsonObject
from sandbox.form import Form
from sandbox.moment import Moment
from sandbox.payment_method_types import ENABLED_TYPES, compatible

# Parameters of create and update that are copied to the object unchanged.
COPIED_FIELDS = (
    "application_fee_amount",
    "customer",
    "customer_account",
    "description",
    "on_behalf_of",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
)

# The fields that Stripe shows to a caller with a publishable key.
BROWSER_FIELDS = (
    "id", "object", "amount", "amount_details", "automatic_payment_methods", "canceled_at",
    "cancellation_reason", "capture_method", "client_secret", "confirmation_method", "created",
    "currency", "description", "last_payment_error", "livemode", "next_action", "payment_method",
    "payment_method_configuration_details", "payment_method_types", "processing",
    "receipt_email", "setup_future_usage", "shipping", "source", "status",
)  # fmt: skip

_INITIAL_FIELDS: JsonObject = {
    "amount_capturable": 0,
    "amount_details": {"tip": {}},
    "amount_received": 0,
    "application": None,
    "canceled_at": None,
    "cancellation_reason": None,
    "last_payment_error": None,
    "latest_charge": None,
    "next_action": None,
    "payment_method": None,
    "payment_method_configuration_details": None,
    "processing": None,
    "review": None,
    "source": None,
}

_DEFAULTS: dict[str, Any] = {
    "allowed_payment_method_types": None,
    "capture_method": "automatic_async",
    "confirmation_method": "automatic",
    "excluded_payment_method_types": None,
    "payment_method_options": {},
    **dict.fromkeys(COPIED_FIELDS),
}


def build_intent(moment: Moment, params: Form) -> JsonObject:
    """Build a PaymentIntent in requires_payment_method; the caller adds it to the ledger."""
    intent_id = moment.ids.new("pi_3")
    return {
        "id": intent_id,
        "object": "payment_intent",
        **_INITIAL_FIELDS,
        **{name: params.get(name, default) for name, default in _DEFAULTS.items()},
        "amount": params["amount"],
        "automatic_payment_methods": _automatic(params),
        "client_secret": moment.ids.new(f"{intent_id}_secret_", 25),
        "created": int(moment.sent_at),
        "currency": params["currency"],
        "livemode": moment.caller.account.livemode,
        "metadata": merged_metadata({}, params.get("metadata", {})),
        "payment_method_types": _types(params),
        "status": "requires_payment_method",
    }


def for_browser(intent: JsonObject) -> JsonObject:
    """Return the fields that a caller with a publishable key may see."""
    return {name: intent[name] for name in BROWSER_FIELDS}


def merged_metadata(old: JsonObject, new: JsonObject) -> JsonObject:
    """Merge metadata: an empty value removes its key, and an empty hash removes all keys."""
    return {k: v for k, v in {**old, **new}.items() if v} if new else {}


def _automatic(params: Form) -> JsonObject | None:
    chosen = "payment_method_types" in params or "allowed_payment_method_types" in params
    given = params.get("automatic_payment_methods", {"enabled": not chosen})
    return {"allow_redirects": "always", **given} if given["enabled"] else None


def _types(params: Form) -> list[str]:
    if "payment_method_types" in params:
        return list(params["payment_method_types"])
    excluded = params.get("excluded_payment_method_types", ())
    asked = params.get("allowed_payment_method_types") or ENABLED_TYPES
    return [kind for kind in compatible(asked, params["currency"]) if kind not in excluded]
