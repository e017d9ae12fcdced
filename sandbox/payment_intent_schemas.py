"""The names and types of the parameters of each PaymentIntent endpoint.

Source: docs.stripe.com/api/payment_intents.
"""

from __future__ import annotations

from typing import Any

from sandbox.answers import refusal
from sandbox.currencies import checked_currency
from sandbox.expansion import expandable
from sandbox.parameters import (
    Schema,
    any_hash,
    array,
    boolean,
    choice,
    email,
    integer,
    metadata,
    nested,
    text,
    url,
)
from sandbox.payment_method_types import TYPES


def _type(name: str, value: Any) -> str:
    if value not in TYPES:
        raise refusal(f"Invalid {name}: must be one of {', '.join(sorted(TYPES))}", param=name)
    return str(value)


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
    **dict.fromkeys(TYPES, any_hash),
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
    "amount_details": any_hash,
    "capture_method": choice("automatic", "automatic_async", "manual"),
    "excluded_payment_method_types": array(_type),
    "expand": expandable("payment_intent"),
    "hooks": any_hash,
    "payment_details": any_hash,
    "payment_method": text(),
    "payment_method_data": any_hash,
    "payment_method_options": nested(_METHOD_OPTIONS),
    "payment_method_types": array(_type),
    "receipt_email": email,
    "setup_future_usage": _USAGE,
    "shipping": any_hash,
}
UPDATE: Schema = {
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
    "transfer_data": any_hash,
    "transfer_group": text(),
}
AT_CONFIRMATION: Schema = {
    "confirmation_token": text(),
    "error_on_requires_action": boolean,
    "mandate": text(),
    "mandate_data": any_hash,
    "off_session": boolean,
    "radar_options": any_hash,
    "return_url": url,
    "use_stripe_sdk": boolean,
}
_AUTOMATIC: Schema = {"enabled": boolean, "allow_redirects": choice("always", "never")}

CREATE: Schema = {
    **UPDATE,
    **AT_CONFIRMATION,
    "automatic_payment_methods": nested(_AUTOMATIC, required=["enabled"]),
    "confirm": boolean,
    "confirmation_method": choice("automatic", "manual"),
    "on_behalf_of": text(),
}
CONFIRM: Schema = {
    **COMMON,
    **AT_CONFIRMATION,
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
