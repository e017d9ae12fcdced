"""The lifecycle of a Refund, and the Events of its changes.

    pending, requires_action ─┬→ succeeded → failed (the bank returned the money)
                              ├→ failed
                              └→ canceled

A refund takes its amount from the charge as soon as it exists, even while it is pending; one that
fails or is canceled gives it back. Source: docs.stripe.com/refunds.
"""

from __future__ import annotations

from sandbox import charges
from sandbox.answers import JsonObject, Refusal, refusal
from sandbox.currencies import format_with_symbol
from sandbox.form import Form
from sandbox.moment import Moment
from sandbox.payment_methods import PaymentMethod

OPEN = ("pending", "requires_action")
FAILABLE = (*OPEN, "succeeded")

FAILURE_REASONS = (
    "charge_for_pending_refund_disputed", "declined", "expired_or_canceled_card",
    "insufficient_funds", "lost_or_stolen_card", "merchant_request", "unknown",
)  # fmt: skip

_PENDING_DESTINATION = {
    "card": {
        "reference_status": "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    },
    "type": "card",
}


def create(moment: Moment, charge: JsonObject, params: Form) -> JsonObject:
    """Refund the amount of `params`, or all that is left; raise a Refusal if that is too little."""
    _check_refundable(moment, charge)
    amount = _amount(charge, params)
    method = charges.method_of(moment, charge)
    made = moment.ledger.refunds.put(_build(moment, charge, method, amount, params))
    charge = charges.refund(moment, charge, amount)
    moment.publish("refund.created", made, moment.now)
    moment.publish("charge.refunded", charge, moment.now)
    at_first, later = method.refund.value
    if at_first != later:
        moment.ledger.schedule(moment.now + _duration(moment, method), "refund", made["id"])
    return made


def settle(moment: Moment, refund: JsonObject) -> None:
    """End a refund as the payment method says; do nothing if it has ended already."""
    later = charges.method_of(moment, moment.ledger.charges.get(refund["charge"])).refund.value[1]
    if later == "failed" and refund["status"] in FAILABLE:
        fail(moment, refund, "expired_or_canceled_card")
    elif later == "succeeded" and refund["status"] in OPEN:
        succeed(moment, refund)


def succeed(moment: Moment, refund: JsonObject) -> JsonObject:
    """Complete a pending refund."""
    require_status(refund, OPEN)
    transaction = {"balance_transaction": moment.ids.new("txn_3")}
    return _change(moment, refund, status="succeeded", **transaction)


def require_action(moment: Moment, refund: JsonObject) -> JsonObject:
    """Let a pending refund wait for the shopper's bank details."""
    require_status(refund, ("pending",))
    return _change(moment, refund, status="requires_action")


def fail(moment: Moment, refund: JsonObject, reason: str) -> JsonObject:
    """Fail a refund, even one that had succeeded: the money is back in the balance."""
    require_status(refund, FAILABLE)
    failure: JsonObject = {"failure_reason": reason}
    if refund["balance_transaction"]:
        failure["failure_balance_transaction"] = moment.ids.new("txn_3")
    failed = _end(moment, refund, status="failed", **failure)
    moment.publish("refund.failed", failed, moment.now)
    return failed


def cancel(moment: Moment, refund: JsonObject) -> JsonObject:
    """Cancel a refund that has not been paid out."""
    require_status(refund, OPEN)
    return _end(moment, refund, status="canceled")


def require_status(refund: JsonObject, allowed: tuple[str, ...]) -> None:
    """Raise a Refusal unless the refund has one of these statuses."""
    if refund["status"] not in allowed:
        message = (
            f"The refund has a status of {refund['status']}. "
            f"Only a refund with one of these statuses can change so: {', '.join(allowed)}."
        )
        raise refusal(message)


def no_charge(intent_id: str) -> Refusal:
    """400: the PaymentIntent has not been paid."""
    return refusal(f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.")


def _check_refundable(moment: Moment, charge: JsonObject) -> None:
    if charge["status"] != "succeeded":
        raise no_charge(charge["payment_intent"])
    if not charge["captured"]:
        raise refusal(
            "This uncaptured Charge was created by a PaymentIntent "
            f"({charge['payment_intent']}). You must cancel the PaymentIntent to reverse the "
            "authorization instead of refunding the Charge directly. For more information, see "
            "https://stripe.com/docs/payments/place-a-hold-on-a-payment-method"
        )
    disputes = moment.ledger.disputes.newest_first(charge=charge["id"])
    if not all(each["is_charge_refundable"] for each in disputes):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise refusal(message, code="charge_disputed")


def _amount(charge: JsonObject, params: Form) -> int:
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left <= 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise refusal(message, code="charge_already_refunded")
    amount: int = params.get("amount", left)
    if amount > left:
        asked, most = (format_with_symbol(each, charge["currency"]) for each in (amount, left))
        message = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({most})"
        raise refusal(message, param="amount")
    return amount


def _build(
    moment: Moment, charge: JsonObject, method: PaymentMethod, amount: int, params: Form
) -> JsonObject:
    status = method.refund.value[0]
    paid = status == "succeeded"
    made = {
        "id": moment.ids.new("re_3"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": moment.ids.new("txn_3") if paid else None,
        "charge": charge["id"],
        "created": int(moment.sent_at),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "metadata": {name: value for name, value in params.get("metadata", {}).items() if value},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    # Stripe leaves these out where they have no value.
    details = {"destination_details": _PENDING_DESTINATION} if method.type == "card" else {}
    return made | details | ({} if paid else {"pending_reason": "processing"})


def _duration(moment: Moment, method: PaymentMethod) -> float:
    rules = moment.rules
    return rules.refund_seconds if method.type == "card" else rules.settle_seconds


def _end(moment: Moment, refund: JsonObject, **changes: object) -> JsonObject:
    """End a refund without effect: the charge gets its amount back."""
    charge = moment.ledger.charges.get(refund["charge"])
    charges.refund(moment, charge, -refund["amount"])
    return _change(moment, refund, **changes)


def _change(moment: Moment, refund: JsonObject, **changes: object) -> JsonObject:
    """Write the next version, which is no longer pending, and publish refund.updated."""
    kept = {name: value for name, value in refund.items() if name != "pending_reason"}
    changed = moment.ledger.refunds.put({**kept, **changes})
    moment.publish("refund.updated", changed, moment.now)
    return changed
