"""The lifecycle of a Dispute, and the Events of its changes.

    needs_response → under_review → won or lost
    warning_needs_response → warning_under_review → warning_closed (an inquiry moves no money)

Source: docs.stripe.com/disputes/how-disputes-work.
"""

from __future__ import annotations

from sandbox import charges, refunds
from sandbox.answers import JsonObject, refusal
from sandbox.dispute_object import balance_transaction, build_dispute
from sandbox.moment import Moment
from sandbox.payment_methods import PaymentMethod

REASONS = (
    "bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated",
    "debit_not_authorized", "duplicate", "fraudulent", "general", "incorrect_account_details",
    "insufficient_funds", "noncompliant", "product_not_received", "product_unacceptable",
    "subscription_canceled", "unrecognized",
)  # fmt: skip

_NEEDS_RESPONSE = ("needs_response", "warning_needs_response")
_OPEN = (*_NEEDS_RESPONSE, "under_review", "warning_under_review")


def open_as_ordered(moment: Moment, charge: JsonObject, method: PaymentMethod) -> None:
    """Open a dispute at once, if the test payment method says so."""
    if method.dispute:
        open_dispute(moment, charge, None, method.dispute, inquiry=method.inquiry)


def open_dispute(
    moment: Moment, charge: JsonObject, amount: int | None, reason: str, *, inquiry: bool = False
) -> JsonObject:
    """Dispute an amount of a captured charge, or all of it; withdraw it unless it is an inquiry."""
    if not charge["captured"]:
        raise refusal(f"Charge {charge['id']} has not been captured and cannot be disputed.")
    amount = charge["amount_captured"] if amount is None else amount
    charge = charges.dispute(moment, charge)
    dispute = build_dispute(moment, charge, amount, reason, inquiry=inquiry)
    if not inquiry:
        dispute = _moved(moment, dispute, -amount, "dispute")
    moment.ledger.disputes.put(dispute)
    moment.publish("charge.dispute.created", dispute, moment.now)
    if not inquiry:
        moment.publish("charge.dispute.funds_withdrawn", dispute, moment.now)
        _fail_pending_refunds(moment, charge)
    return dispute


def review(moment: Moment, dispute: JsonObject) -> JsonObject:
    """Submit evidence: the bank reviews it."""
    _require_status(dispute, _NEEDS_RESPONSE)
    details = {**dispute["evidence_details"], "has_evidence": True, "submission_count": 1}
    status = dispute["status"].replace("needs_response", "under_review")
    return _change(moment, dispute, "updated", status=status, evidence_details=details)


def win(moment: Moment, dispute: JsonObject) -> JsonObject:
    """Close a dispute in favour of the business, which gets the money back."""
    _require_status(dispute, _OPEN)
    if _is_inquiry(dispute):
        return _change(moment, dispute, "closed", status="warning_closed")
    won = _moved(moment, dispute, dispute["amount"], "dispute_reversal")
    won = _change(moment, won, "closed", status="won", is_charge_refundable=True)
    moment.publish("charge.dispute.funds_reinstated", won, moment.now)
    return won


def lose(moment: Moment, dispute: JsonObject) -> JsonObject:
    """Close a dispute in favour of the shopper; no refund of the charge is possible any more."""
    _require_status(dispute, _OPEN)
    if _is_inquiry(dispute):
        raise refusal("An inquiry cannot be lost; escalate it to a dispute first.")
    return _change(moment, dispute, "closed", status="lost")


def escalate(moment: Moment, dispute: JsonObject) -> JsonObject:
    """Turn an inquiry into a dispute, which withdraws the money."""
    _require_status(dispute, ("warning_needs_response", "warning_under_review"))
    moved = _moved(moment, dispute, -dispute["amount"], "dispute")
    escalated = _change(
        moment, moved, "updated", status="needs_response", is_charge_refundable=False
    )
    moment.publish("charge.dispute.funds_withdrawn", escalated, moment.now)
    return escalated


def _is_inquiry(dispute: JsonObject) -> bool:
    return str(dispute["status"]).startswith("warning_")


def _moved(moment: Moment, dispute: JsonObject, amount: int, category: str) -> JsonObject:
    entry = balance_transaction(moment, dispute, amount, category)
    return {**dispute, "balance_transactions": [*dispute["balance_transactions"], entry]}


def _fail_pending_refunds(moment: Moment, charge: JsonObject) -> None:
    for refund in moment.ledger.refunds.newest_first(charge=charge["id"], status="pending"):
        refunds.fail(moment, refund, "charge_for_pending_refund_disputed")


def _require_status(dispute: JsonObject, allowed: tuple[str, ...]) -> None:
    if dispute["status"] not in allowed:
        message = (
            f"The dispute has a status of {dispute['status']}. "
            f"Only a dispute with one of these statuses can change so: {', '.join(allowed)}."
        )
        raise refusal(message)


def _change(moment: Moment, dispute: JsonObject, event: str, **changes: object) -> JsonObject:
    changed = moment.ledger.disputes.put({**dispute, **changes})
    moment.publish(f"charge.dispute.{event}", changed, moment.now)
    return changed
