"""Free an order that no request may go on with, after a person has looked.

the gateway does not know its PaymentIntent   in live mode the key may be another account's
the order was paid before (rule 21)           its gateway has taken a payment that no record has
a capture that the gateway does not show      its outcome stays unknown (rule 18)
"""

from __future__ import annotations

from payment_service.errors import Changed, NotFound
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.key_store.contract import Order
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import (
    find_recorded,
    last_known,
    with_missing,
)
from payment_service.payments.creation.resolve import check_served
from payment_service.payments.gated.complete import find
from payment_service.payments.record import gated_transitions
from payment_service.payments.record.order_record import OrderRecord

STRIPES_INTENT = "Stripe shows this order's PaymentIntent"


def check_missing(context: Context, order: Order, deadline: Deadline) -> OrderRecord:
    """Return the order's record if a person may free it; changes nothing.

    Raises Changed if there is nothing to free: the order was not paid before, and the gateway shows
    the PaymentIntent, or the order has none. Raises Changed as well if a payment of the order can
    still take money. Raises NotFound, and the PaymentErrors of a retrieval.
    """
    check_served(context, order)
    record = context.records.read(order)
    if record is None:
        raise NotFound("This order is not known.")
    if record.state != "created":
        if record.follow_up.paid_before:
            return record
        raise Changed("This order has no PaymentIntent: the next request for it resolves it.")
    gated, now = context.gated_of(record), context.clock()
    # The send that was refused because the order was paid before cannot arrive; others may.
    in_doubt = gated_transitions.may_arrive(record, now) or not record.follow_up.paid_before
    if gated and in_doubt and now < gated_transitions.last_arrival(record):
        raise Changed("A capture of this order may still arrive; wait an hour after the last send.")
    shown = find(gated, record, deadline) if gated else find_recorded(context, record, deadline)
    if shown is None:
        return record
    if record.follow_up.paid_before and _may_stay(shown, is_gated=gated is not None):
        return record
    payment = "The gateway shows this order's payment" if gated else STRIPES_INTENT
    raise Changed(f"{payment} {shown.id} with the status {shown.status}. {_advice(shown)}")


def _advice(shown: Intent) -> str:
    if shown.status in TAKEN or gated_transitions.is_paid(shown):
        return "The order is paid."
    return "Cancel it." if shown.payable else "The next request creates another one."


def _may_stay(shown: Intent, *, is_gated: bool) -> bool:
    """Whether the shown payment takes no money when an order that was paid before goes on.

    At a gated gateway nothing but a capture of ours takes money.
    """
    return not gated_transitions.is_paid(shown) if is_gated else shown.status == CANCELED


def free_order(context: Context, record: OrderRecord, reason: str) -> None:
    """Record that the payment is gone, so that the next request creates another one.

    At Stripe, that request looks for PaymentIntents of the order first. `record` is the result of
    `check_missing`. Raises RecordChanged if the record is no longer that one.
    """
    if context.gated_of(record):
        freed = gated_transitions.ended(record, now=context.clock(), reason=reason)
    elif record.follow_up.paid_before:
        freed = gated_transitions.freed(record, context.clock(), reason)
    else:
        freed = with_missing(context, record, last_known(record), "freed", reason=reason)
    context.records.write(record, freed)
    context.report("freed", record, payment_intent_id=record.payment_intent_id, reason=reason)
