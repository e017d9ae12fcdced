"""PaymentIntents that name an order but are not its recorded one: rule 4 after the fact."""

from __future__ import annotations

from payment_service.errors import StripeFailed
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.payments.context import Context
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord

# The outcomes for a stray.
GONE, STRAY_CANCELED, STRAY_PAID, TWO_PAID = "gone", "stray_canceled", "stray_paid", "two_paid"


def settle_stray(
    context: Context, record: OrderRecord, stray: Intent, deadline: Deadline
) -> str | None:
    """Cancel a stray, or raise the alarm if its payment is taken; return the outcome.

    Either no client was given the stray's client_secret, or the stray could no longer be paid when
    another PaymentIntent was recorded. No request adopts it once the record names it as ending.
    If it is paid anyway, record it and cancel the one recorded before, so that the shopper does
    not pay twice; if that one is paid too, a person must look. None: the record changed in the
    meantime, look again. Raises PaymentError.
    """
    if stray.status == CANCELED:
        return GONE
    if stray.status in TAKEN:
        return _settle_paid(context, record, stray, deadline)
    ending = transitions.ending(record, stray.id, context.clock())
    return (
        _end(context, ending, stray, deadline) if context.records.replace(record, ending) else None
    )


def _end(context: Context, record: OrderRecord, stray: Intent, deadline: Deadline) -> str | None:
    """Cancel a PaymentIntent that the record names as ending."""
    if context.gateway_of(record).cancel(stray.id, "duplicate", deadline):
        context.saw("stray_canceled", record, payment_intent_id=stray.id)
        return STRAY_CANCELED
    stray = context.gateway_of(record).retrieve(stray.id, deadline)
    if stray.status == CANCELED:
        return GONE
    if stray.status not in TAKEN:
        raise StripeFailed("Stripe did not cancel a PaymentIntent that is not the order's.")
    return _settle_paid(context, record, stray, deadline)


def _settle_paid(
    context: Context, record: OrderRecord, paid: Intent, deadline: Deadline
) -> str | None:
    """Record the paid PaymentIntent, and only then cancel the one recorded before.

    Otherwise a request could see the old one canceled before the record shows the payment, and
    would create another.
    """
    own = _recorded(context, record, deadline)
    if own is not None and own.status in TAKEN:
        return _two_paid(context, record, paid)
    now = context.clock()
    adopted = transitions.adopted(record, paid, now, "adopted, paid")
    if own is not None and own.payable:
        adopted = transitions.replaced(adopted, own.id, now)
    adopted = context.telling(adopted, paid)
    if not context.records.replace(record, adopted):
        return None
    context.saw("stray_paid", record, payment_intent_id=paid.id, status=paid.status)
    if own is not None and own.payable:
        _end(context, adopted, own, deadline)
    return STRAY_PAID


def _two_paid(context: Context, record: OrderRecord, paid: Intent) -> str | None:
    """Report a second payment every time, but write it to the history once."""
    beside = record.payment_intent_id
    context.saw("two_taken", record, payment_intent_id=paid.id, status=paid.status, beside=beside)
    said = ((each["what"], each.get("payment_intent_id")) for each in record.follow_up.history)
    if (TWO_PAID, paid.id) in said:
        return TWO_PAID
    noted = transitions.touched(record, context.clock(), TWO_PAID, payment_intent_id=paid.id)
    return TWO_PAID if context.records.replace(record, noted) else None


def _recorded(context: Context, record: OrderRecord, deadline: Deadline) -> Intent | None:
    if record.payment_intent_id is None:
        return None
    try:
        return context.gateway_of(record).retrieve(record.payment_intent_id, deadline)
    except NoSuchIntent:
        return None
