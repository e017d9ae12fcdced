"""The Dispute object, and the balance transactions that it carries."""

from __future__ import annotations

from sandbox.answers import JsonObject
from sandbox.moment import Moment

# Banks give the business seven to twenty-one days to answer.
ANSWER_SECONDS = 7 * 86_400

_EVIDENCE = dict.fromkeys(
    (
        "access_activity_log", "billing_address", "cancellation_policy",
        "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication",
        "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
        "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id",
        "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
        "refund_refusal_explanation", "service_date", "service_documentation",
        "shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation",
        "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
    )
)  # fmt: skip


def build_dispute(
    moment: Moment, charge: JsonObject, amount: int, reason: str, *, inquiry: bool
) -> JsonObject:
    """Build a dispute that needs a response; the caller adds it to the ledger."""
    return {
        "id": moment.ids.new("du_3"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": int(moment.now),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**_EVIDENCE, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": int(moment.now + ANSWER_SECONDS),
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": charge["livemode"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _details(charge, inquiry=inquiry),
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


def balance_transaction(
    moment: Moment, dispute: JsonObject, amount: int, category: str
) -> JsonObject:
    """Build the entry of a withdrawal (a negative amount) or of its reversal."""
    return {
        "id": moment.ids.new("txn_3"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": int(moment.now),
        "balance_type": "payments",
        "created": int(moment.now),
        "currency": dispute["currency"],
        "description": f"{category.replace('_', ' ').capitalize()} of {dispute['charge']}",
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": amount,
        "reporting_category": category,
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }


def _details(charge: JsonObject, *, inquiry: bool) -> JsonObject:
    kind = charge["payment_method_details"]["type"]
    if kind != "card":
        return {"type": kind}
    case = "inquiry" if inquiry else "chargeback"
    card = {"brand": "visa", "case_type": case, "network": "visa", "network_reason_code": "10.4"}
    return {"type": "card", "card": card}
