"""PaymentIntents that name an order but are not its recorded one: rule 4 after the fact."""

from __future__ import annotations

from payment_service.errors import StripeFailed
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.payments.context import Context
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.creation.recorded_intent import find_recorded
from payment_service.payments.record import transitions
from payment_service.payments.record.alarms import STRAY_PAID
from payment_service.payments.record.history import STRAY_ADOPTED, TWO_PAID
from payment_service.payments.record.order_record import OrderRecord

# The outcomes for a stray, with STRAY_PAID and TWO_PAID.
GONE, STRAY_CANCELED = "gone", "stray_canceled"


def settle_stray(context: Context, record: OrderRecord, stray: Intent, deadline: Deadline) -> str:
    """Cancel a stray, or raise the alarm if its payment is taken; return the outcome.

    Either no client was given the stray's client_secret, or the stray could no longer be paid when
    another PaymentIntent was recorded. No request adopts it once the record names it as ending.
    If it is paid anyway, record it and cancel the one recorded before, so that the shopper does
    not pay twice; if that one is paid too, a person must look. Raises RecordChanged if the record
    changed in the meantime, and PaymentError.
    """
    if stray.status == CANCELED:
        return GONE
    if stray.status in TAKEN:
        return _settle_paid(context, record, stray, deadline)
    ending = transitions.ending(record, stray.id, context.clock())
    context.records.write(record, ending)
    return _end(context, ending, stray, deadline)


def _end(context: Context, record: OrderRecord, stray: Intent, deadline: Deadline) -> str:
    """Cancel a PaymentIntent that the record names as ending."""
    after = cancel_and_check(context.gateway_of(record), stray, "duplicate", deadline)
    if after.ours:
        context.report("stray_canceled", record, payment_intent_id=stray.id)
        return STRAY_CANCELED
    if after.intent.status == CANCELED:
        return GONE
    if after.intent.status not in TAKEN:
        raise StripeFailed("Stripe did not cancel a PaymentIntent that is not the order's.")
    return _settle_paid(context, record, after.intent, deadline)


def _settle_paid(context: Context, record: OrderRecord, paid: Intent, deadline: Deadline) -> str:
    """Record the paid PaymentIntent, and only then cancel the one recorded before.

    Otherwise a request could see the old one canceled before the record shows the payment, and
    would create another.
    """
    own = find_recorded(context, record, deadline)
    if (own.status if own else record.payment_status) in TAKEN:
        return _two_paid(context, record, paid)
    now = context.clock()
    adopted = transitions.adopted(record, paid, now, STRAY_ADOPTED)
    if own is not None and own.payable:
        adopted = transitions.replaced(adopted, own.id, now)
    adopted = context.with_shop_event(adopted, paid)
    context.records.write(record, adopted)
    context.report("stray_paid", record, payment_intent_id=paid.id, status=paid.status)
    if own is not None and own.payable:
        _end(context, adopted, own, deadline)
    return STRAY_PAID


def _two_paid(context: Context, record: OrderRecord, paid: Intent) -> str:
    """Report a second payment every time, but write it to the history once."""
    beside = record.payment_intent_id
    facts = {"payment_intent_id": paid.id, "status": paid.status, "beside": beside}
    context.report("two_taken", record, **facts)
    history = record.follow_up.history
    if (TWO_PAID, paid.id) not in ((e["what"], e.get("payment_intent_id")) for e in history):
        noted = transitions.touched(record, context.clock(), TWO_PAID, payment_intent_id=paid.id)
        context.records.write(record, noted)
    return TWO_PAID
