"""The lifecycle of a Charge: one attempt to pay a PaymentIntent, and what is captured of it.

pending → succeeded (captured, or authorized until its capture or its lapse) or failed
"""

from __future__ import annotations

from sandbox.answers import JsonObject
from sandbox.charge_object import approved, build_charge, capturable_until, declined
from sandbox.moment import Moment
from sandbox.payment_methods import TEST_METHODS, Decline, PaymentMethod


def start(moment: Moment, intent: JsonObject, prefix: str = "ch_3") -> JsonObject:
    """Make a pending charge of the PaymentIntent."""
    method, charge_id = method_of(moment, intent), moment.ids.new(prefix)
    return moment.ledger.charges.put(build_charge(moment, intent, method, charge_id))


def under_way(moment: Moment, intent: JsonObject) -> JsonObject:
    """Return the pending charge of a PaymentIntent in `processing`, or make one."""
    if intent["status"] == "processing":
        return moment.ledger.charges.get(intent["latest_charge"])
    return start(moment, intent)


def authorize(moment: Moment, charge: JsonObject) -> JsonObject:
    """Hold the amount until `capture_before`."""
    until = int(moment.now + moment.rules.authorization_seconds)
    details = capturable_until(charge, until)
    return _change(moment, charge, _paid() | {"payment_method_details": details})


def receive(moment: Moment, charge: JsonObject) -> JsonObject:
    """Take the whole amount at once."""
    return _change(moment, charge, _paid() | _captured(moment, charge["amount"]))


def capture(moment: Moment, charge: JsonObject, amount: int) -> JsonObject:
    """Take a part of the held amount, or all of it; the rest is released."""
    details = {"payment_method_details": capturable_until(charge, None)}
    captured = _change(moment, charge, _captured(moment, amount) | details)
    moment.publish("charge.captured", captured, moment.now)
    return captured


def fail(moment: Moment, charge: JsonObject, decline: Decline) -> JsonObject:
    """Record that the bank declined or returned the payment."""
    reason = {"failure_code": decline.code, "failure_message": decline.message}
    return _change(moment, charge, {"status": "failed", "outcome": declined(), **reason})


def refund(moment: Moment, charge: JsonObject, amount: int) -> JsonObject:
    """Count a refund; a negative amount frees that of a failed one."""
    refunded = charge["amount_refunded"] + amount
    whole = refunded == charge["amount_captured"]
    return _change(moment, charge, {"amount_refunded": refunded, "refunded": whole})


def dispute(moment: Moment, charge: JsonObject) -> JsonObject:
    """Mark the charge as disputed, which it stays."""
    return _change(moment, charge, {"disputed": True})


def method_of(moment: Moment, paid: JsonObject) -> PaymentMethod:
    """Return the payment method of a PaymentIntent or a Charge; Visa's test card for none."""
    method_id = paid["payment_method"] or "pm_card_visa"
    return TEST_METHODS.get(method_id) or moment.ledger.methods[method_id]


def _paid() -> JsonObject:
    return {"status": "succeeded", "paid": True, "outcome": approved()}


def _captured(moment: Moment, amount: int) -> JsonObject:
    return {
        "captured": True,
        "amount_captured": amount,
        "balance_transaction": moment.ids.new("txn_3"),
    }


def _change(moment: Moment, charge: JsonObject, changes: JsonObject) -> JsonObject:
    return moment.ledger.charges.put({**charge, **changes})
