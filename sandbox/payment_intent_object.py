"""The PaymentIntent object: as it is born, and as a browser sees it."""

from __future__ import annotations

from typing import Any

from sandbox.answers import JsonObject
from sandbox.form import Form
from sandbox.moment import Moment
from sandbox.payment_method_types import TURNED_ON, compatible

# Copied as they are sent: from the parameters of create and update into the object.
PLAIN = (
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

# What a page that holds only a publishable key is shown of a PaymentIntent.
BROWSER_FIELDS = (
    "id", "object", "amount", "amount_details", "automatic_payment_methods", "canceled_at",
    "cancellation_reason", "capture_method", "client_secret", "confirmation_method", "created",
    "currency", "description", "last_payment_error", "livemode", "next_action", "payment_method",
    "payment_method_configuration_details", "payment_method_types", "processing",
    "receipt_email", "setup_future_usage", "shipping", "source", "status",
)  # fmt: skip

_BLANK: JsonObject = {
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
    **dict.fromkeys(PLAIN),
}


def new_intent(moment: Moment, params: Form) -> JsonObject:
    """A PaymentIntent that waits for a payment method; not in the ledger yet."""
    intent_id = moment.ids.new("pi_3")
    return {
        "id": intent_id,
        "object": "payment_intent",
        **_BLANK,
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
    """The part of a PaymentIntent that a publishable key may see."""
    return {name: intent[name] for name in BROWSER_FIELDS}


def merged_metadata(old: JsonObject, new: JsonObject) -> JsonObject:
    """An empty value removes a name; no names at all remove every one."""
    return {k: v for k, v in {**old, **new}.items() if v} if new else {}


def _automatic(params: Form) -> JsonObject | None:
    chosen = "payment_method_types" in params or "allowed_payment_method_types" in params
    given = params.get("automatic_payment_methods", {"enabled": not chosen})
    return {"allow_redirects": "always", **given} if given["enabled"] else None


def _types(params: Form) -> list[str]:
    if "payment_method_types" in params:
        return list(params["payment_method_types"])
    excluded = params.get("excluded_payment_method_types", ())
    asked = params.get("allowed_payment_method_types") or TURNED_ON
    return [kind for kind in compatible(asked, params["currency"]) if kind not in excluded]
