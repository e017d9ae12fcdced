"""PaymentIntents that name an order but are not its recorded one: rule 4 after the fact."""

from __future__ import annotations

from payment_service.errors import StripeFailed
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.payments.context import Tools
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord

# The outcomes for a stray.
GONE, STRAY_CANCELED, STRAY_PAID, TWO_PAID = "gone", "stray_canceled", "stray_paid", "two_paid"


def settle_stray(
    tools: Tools, record: OrderRecord, stray: Intent, deadline: Deadline
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
        return _settle_paid(tools, record, stray, deadline)
    ending = transitions.ending(record, stray.id, tools.clock())
    return _end(tools, ending, stray, deadline) if tools.records.replace(record, ending) else None


def _end(tools: Tools, record: OrderRecord, stray: Intent, deadline: Deadline) -> str | None:
    """Cancel a PaymentIntent that the record names as ending."""
    if tools.gateway_of(record).cancel(stray.id, "duplicate", deadline):
        tools.saw("stray_canceled", record, payment_intent_id=stray.id)
        return STRAY_CANCELED
    stray = tools.gateway_of(record).retrieve(stray.id, deadline)
    if stray.status == CANCELED:
        return GONE
    if stray.status not in TAKEN:
        raise StripeFailed("Stripe did not cancel a PaymentIntent that is not the order's.")
    return _settle_paid(tools, record, stray, deadline)


def _settle_paid(tools: Tools, record: OrderRecord, paid: Intent, deadline: Deadline) -> str | None:
    """Record the paid PaymentIntent, and only then cancel the one recorded before.

    Otherwise a request could see the old one canceled before the record shows the payment, and
    would create another.
    """
    own = _recorded(tools, record, deadline)
    if own is not None and own.status in TAKEN:
        return _two_paid(tools, record, paid)
    now = tools.clock()
    adopted = transitions.adopted(record, paid, now, "adopted, paid")
    if own is not None and own.payable:
        adopted = transitions.replaced(adopted, own.id, now)
    adopted = tools.telling(adopted, paid)
    if not tools.records.replace(record, adopted):
        return None
    tools.saw("stray_paid", record, payment_intent_id=paid.id, status=paid.status)
    if own is not None and own.payable:
        _end(tools, adopted, own, deadline)
    return STRAY_PAID


def _two_paid(tools: Tools, record: OrderRecord, paid: Intent) -> str | None:
    """Report a second payment every time, but write it to the history once."""
    beside = record.payment_intent_id
    tools.saw("two_taken", record, payment_intent_id=paid.id, status=paid.status, beside=beside)
    said = ((each["what"], each.get("payment_intent_id")) for each in record.follow_up.history)
    if (TWO_PAID, paid.id) in said:
        return TWO_PAID
    noted = transitions.touched(record, tools.clock(), TWO_PAID, payment_intent_id=paid.id)
    return TWO_PAID if tools.records.replace(record, noted) else None


def _recorded(tools: Tools, record: OrderRecord, deadline: Deadline) -> Intent | None:
    if record.payment_intent_id is None:
        return None
    try:
        return tools.gateway_of(record).retrieve(record.payment_intent_id, deadline)
    except NoSuchIntent:
        return None
