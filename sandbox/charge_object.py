"""The Charge object: the initial state of one attempt to pay a PaymentIntent."""

from __future__ import annotations

from sandbox.answers import JsonObject
from sandbox.moment import Moment
from sandbox.payment_methods import PaymentMethod

# Fields that Stripe copies from the PaymentIntent when it makes the charge.
_COPIED_FIELDS = (
    "application_fee_amount", "currency", "customer", "description", "livemode", "metadata",
    "on_behalf_of", "payment_method", "receipt_email", "shipping", "statement_descriptor",
    "statement_descriptor_suffix", "transfer_data", "transfer_group",
)  # fmt: skip

_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))

_INITIAL_FIELDS: JsonObject = {
    "amount_captured": 0,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "balance_transaction": None,
    "billing_details": {
        "address": _ADDRESS,
        "email": None,
        "name": None,
        "phone": None,
        "tax_id": None,
    },
    "calculated_statement_descriptor": "SANDBOX",
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "fraud_details": {},
    "receipt_number": None,
    "receipt_url": None,
    "refunded": False,
    "review": None,
    "source": None,
    "source_transfer": None,
}

_CARD_DETAILS: JsonObject = {
    "authorization_code": None,
    "brand": "visa",
    "checks": {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": "pass",
    },
    "country": "US",
    "exp_month": 8,
    "exp_year": 2030,
    "extended_authorization": {"status": "disabled"},
    "fingerprint": "AOB934RVNwzk6xtn",
    "funding": "credit",
    "incremental_authorization": {"status": "unavailable"},
    "installments": None,
    "mandate": None,
    "multicapture": {"status": "unavailable"},
    "network": "visa",
    "network_token": {"used": False},
    "network_transaction_id": None,
    "regulated_status": None,
    "three_d_secure": None,
    "transaction_link_id": None,
    "wallet": None,
}


def build_charge(
    moment: Moment, intent: JsonObject, method: PaymentMethod, charge_id: str
) -> JsonObject:
    """Build a pending charge of the PaymentIntent; the caller adds it to the ledger."""
    return {
        "id": charge_id,
        "object": "charge",
        **_INITIAL_FIELDS,
        **{name: intent[name] for name in _COPIED_FIELDS},
        "amount": intent["amount"],
        "captured": False,
        "created": int(moment.now),
        "outcome": _outcome("pending", "pending"),
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method_details": _details(intent["amount"], method),
        "status": "pending",
    }


def approved() -> JsonObject:
    """Return the outcome of a charge that the bank approved."""
    return _outcome("authorized", "approved_by_network", "Payment complete.")


def declined() -> JsonObject:
    """Return the outcome of a charge that the bank declined."""
    message = "The bank did not return any further details with this decline."
    return _outcome("issuer_declined", "declined_by_network", message)


def capturable_until(charge: JsonObject, at: int | None) -> JsonObject:
    """Return the charge's payment_method_details with `capture_before`, or without it for None."""
    kind = charge["payment_method_details"]["type"]
    details = {**charge["payment_method_details"][kind]}
    details.pop("capture_before", None)
    if at is not None:
        details["capture_before"] = at
    return {**charge["payment_method_details"], kind: details}


def _outcome(kind: str, status: str, message: str | None = None) -> JsonObject:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": status,
        "reason": None,
        "seller_message": message,
        "type": kind,
    }


def _details(amount: int, method: PaymentMethod) -> JsonObject:
    last4 = {"last4": method.last4}
    if method.type != "card":
        return {"type": method.type, method.type: last4}
    more = {
        "amount_authorized": amount,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
    }
    return {"type": "card", "card": {**_CARD_DETAILS, **last4, **more}}
