"""Free an order that no request may go on with, after a person has looked.

the gateway does not know its PaymentIntent   in live mode the key may be another account's
the order was paid before (rule 21)           its gateway has taken a payment that no record has
a capture that the gateway does not show      its outcome stays unknown (rule 18)
"""

from __future__ import annotations

from payment_service.errors import Changed, NotFound
from payment_service.gateways.deadline import Deadline
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


def check_missing(context: Context, order: Order, deadline: Deadline) -> OrderRecord:
    """Return the order's record if a person may free it; changes nothing.

    Raises Changed if there is nothing to free: the order was not paid before, and the gateway shows
    the PaymentIntent, or the order has none. Raises NotFound, and the PaymentErrors of a retrieval.
    """
    check_served(context, order)
    record = context.records.read(order)
    if record is None:
        raise NotFound("This order is not known.")
    if record.follow_up.paid_before:
        _check_unpaid(context, record, deadline)
        return record
    if record.state != "created":
        raise Changed("This order has no PaymentIntent: the next request for it resolves it.")
    gated = context.gated_of(record)
    if gated and context.clock() < gated_transitions.last_arrival(record):
        raise Changed("A capture of this order may still arrive; wait an hour after the last send.")
    shown = find(gated, record, deadline) if gated else find_recorded(context, record, deadline)
    if shown is not None:
        whose = (
            "The gateway shows this order's payment"
            if gated
            else ("Stripe shows this order's PaymentIntent")
        )
        raise Changed(
            f"{whose} {shown.id} with the status {shown.status}. "
            + ("The next request creates another one." if not shown.payable else "Cancel it.")
        )
    return record


def _check_unpaid(context: Context, record: OrderRecord, deadline: Deadline) -> None:
    """Raise Changed if the payment that PayPal knows is the recorded one itself.

    An earlier send of it may have arrived late, without an answer.
    """
    gated = context.gated_of(record)
    shown = find(gated, record, deadline) if gated and record.state == "created" else None
    if shown is not None and gated_transitions.is_paid(shown):
        raise Changed(
            f"The gateway shows this order's payment {shown.id} with the status {shown.status}: "
            "the order is paid."
        )


def free_order(context: Context, record: OrderRecord, reason: str) -> None:
    """Record that the payment is gone, so that the next request creates another one.

    At Stripe, that request looks for PaymentIntents of the order first. `record` is the result of
    `check_missing`. Raises RecordChanged if the record is no longer that one.
    """
    if context.gated_of(record):
        freed = gated_transitions.ended(record, now=context.clock(), reason=reason)
    else:
        freed = with_missing(context, record, last_known(record), "freed", reason=reason)
    context.records.write(record, freed)
    context.report("freed", record, payment_intent_id=record.payment_intent_id, reason=reason)
