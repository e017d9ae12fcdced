"""The lifecycle of a PaymentIntent: its state changes, their requirements and their Events.

    requires_payment_method ─ requires_confirmation ─┬→ succeeded
       ↑ declined              requires_action ──────┼→ requires_capture → succeeded
       └────────────────────────────────────────── processing → succeeded or declined
    requires_capture → canceled, once the authorization has lapsed
    all but succeeded, processing and canceled → canceled

Source: docs.stripe.com/payments/paymentintents/lifecycle.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox import charges, disputes
from sandbox.answers import JsonObject, Refusal, refusal
from sandbox.moment import Moment
from sandbox.payment_methods import (
    AUTHENTICATION_FAILURE,
    AUTHENTICATION_REQUIRED,
    BANK_FAILURE,
    GENERIC_DECLINE,
    Decline,
    Outcome,
    PaymentMethod,
)

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
UNDER_WAY = (*OPEN, "processing")
CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation",
              "requires_action")  # fmt: skip

_REASONS = {"processing": BANK_FAILURE, "requires_action": AUTHENTICATION_FAILURE}


def require_status(intent: JsonObject, verb: str, done: str, allowed: tuple[str, ...]) -> None:
    """Raise payment_intent_unexpected_state unless the status allows the verb."""
    if intent["status"] in allowed:
        return
    raise refusal(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}. "
        f"Only a PaymentIntent with one of the following statuses may be {done}: "
        f"{', '.join(allowed)}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to pay; `off_session` means that no shopper is present."""

    method_id: str
    method: PaymentMethod
    return_url: str | None = None
    off_session: bool = False


def confirm(moment: Moment, intent: JsonObject, attempt: Attempt) -> JsonObject:
    """Attempt the payment; raise 402 card_error if it is declined."""
    method = attempt.method
    intent = moment.change(intent, payment_method=attempt.method_id, last_payment_error=None)
    moment.ledger.pay_with(intent["id"], method, attempt.return_url)
    if method.outcome is Outcome.NEEDS_ACTION and attempt.off_session:
        raise _declined(moment, intent, AUTHENTICATION_REQUIRED)
    if method.outcome is Outcome.NEEDS_ACTION:
        return _require_action(moment, intent)
    if method.outcome is Outcome.DECLINED:
        raise _declined(moment, intent, method.decline or GENERIC_DECLINE)
    if method.outcome is Outcome.SUCCEEDS:
        return pay(moment, intent)
    return _start_processing(moment, intent)


def pay(moment: Moment, intent: JsonObject) -> JsonObject:
    """Authorize the amount if capture is manual, else receive it."""
    charge = charges.under_way(moment, intent)
    if intent["capture_method"] == "manual":
        charge = charges.authorize(moment, charge)
        moment.ledger.schedule(_capture_before(charge), "lapse", intent["id"])
        return moment.change(
            intent,
            "amount_capturable_updated",
            status="requires_capture",
            amount_capturable=intent["amount"],
            latest_charge=charge["id"],
            next_action=None,
        )
    charge = charges.receive(moment, charge)
    disputes.open_as_ordered(moment, charge, charges.method_of(moment, intent))
    return moment.change(
        intent,
        "succeeded",
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        next_action=None,
        processing=None,
    )


def capture(moment: Moment, intent: JsonObject, amount: int, changes: JsonObject) -> JsonObject:
    """Capture an authorized amount or a part of it, which releases the rest."""
    charge = moment.ledger.charges.get(intent["latest_charge"])
    charge = charges.capture(moment, charge, amount)
    disputes.open_as_ordered(moment, charge, charges.method_of(moment, intent))
    received = {"status": "succeeded", "amount_capturable": 0, "amount_received": amount}
    return moment.change(intent, "succeeded", **received, **changes)


def lapse(moment: Moment, intent: JsonObject) -> None:
    """Cancel a PaymentIntent that was not captured in time; do nothing if it has ended already."""
    if intent["status"] != "requires_capture":
        return
    charge = moment.ledger.charges.get(intent["latest_charge"])
    moment.publish("charge.expired", charge, moment.now)
    cancel(moment, intent, "automatic")


def cancel(moment: Moment, intent: JsonObject, reason: str | None) -> JsonObject:
    """Cancel a PaymentIntent; this is final."""
    return moment.change(
        intent,
        "canceled",
        status="canceled",
        amount_capturable=0,
        canceled_at=int(moment.now),
        cancellation_reason=reason,
        next_action=None,
    )


def fail(moment: Moment, intent: JsonObject, decline: Decline) -> JsonObject:
    """Return to requires_payment_method, with last_payment_error."""
    error = _payment_error(intent, decline)
    charge = charges.fail(moment, charges.under_way(moment, intent), decline)
    return moment.change(
        intent,
        "payment_failed",
        status="requires_payment_method",
        last_payment_error=error,
        latest_charge=charge["id"],
        payment_method=None,
        next_action=None,
        processing=None,
    )


def succeed_now(moment: Moment, intent: JsonObject, allowed: tuple[str, ...]) -> JsonObject:
    """Complete a payment as if the shopper or the bank had approved it."""
    require_status(intent, "complete", "completed", allowed)
    method_id = intent["payment_method"] or "pm_card_visa"
    return pay(moment, {**intent, "payment_method": method_id, "last_payment_error": None})


def fail_now(moment: Moment, intent: JsonObject, allowed: tuple[str, ...]) -> JsonObject:
    """Fail a payment, with a reason that fits its state."""
    require_status(intent, "fail", "failed", allowed)
    return fail(moment, intent, _REASONS.get(intent["status"], GENERIC_DECLINE))


def settle(moment: Moment, intent: JsonObject) -> None:
    """End `processing` as the payment method says; do nothing if it has ended already."""
    if intent["status"] != "processing":
        return
    method = moment.ledger.records[intent["id"]].paying_with
    if method and method.outcome is Outcome.FAILS_LATER:
        fail(moment, intent, method.decline or BANK_FAILURE)
    else:
        pay(moment, intent)


def _capture_before(charge: JsonObject) -> int:
    details = charge["payment_method_details"]
    found: int = details[details["type"]]["capture_before"]
    return found


def _require_action(moment: Moment, intent: JsonObject) -> JsonObject:
    page = f"{moment.rules.base_url}/_sandbox/payment_intents/{intent['id']}/action"
    redirect = {"url": page, "return_url": moment.ledger.records[intent["id"]].return_url}
    return moment.change(
        intent,
        "requires_action",
        status="requires_action",
        next_action={"type": "redirect_to_url", "redirect_to_url": redirect},
    )


def _start_processing(moment: Moment, intent: JsonObject) -> JsonObject:
    moment.ledger.schedule(moment.now + moment.rules.settle_seconds, "settle", intent["id"])
    return moment.change(
        intent,
        "processing",
        status="processing",
        latest_charge=charges.start(moment, intent, "py_3")["id"],
        next_action=None,
    )


def _declined(moment: Moment, intent: JsonObject, decline: Decline) -> Refusal:
    failed = fail(moment, intent, decline)
    error = {**failed["last_payment_error"], "payment_intent": failed}
    return Refusal(402, {**error, "charge": failed["latest_charge"]})


def _payment_error(intent: JsonObject, decline: Decline) -> JsonObject:
    error = {
        "code": decline.code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": {"id": intent["payment_method"], "object": "payment_method"},
        "type": "card_error",
    }
    return error | ({"decline_code": decline.decline_code} if decline.decline_code else {})
