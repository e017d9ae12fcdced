"""Free an order whose PaymentIntent the gateway does not know, after a person has looked.

In live mode the service never decides this itself: the key may be another account's.
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
from payment_service.payments.record.order_record import OrderRecord


def check_missing(context: Context, order: Order, deadline: Deadline) -> OrderRecord:
    """Return the order's record if the gateway does not know its PaymentIntent; changes nothing.

    Raises Changed if there is nothing to free: the gateway shows the PaymentIntent, or the order
    has none. Raises NotFound, and the PaymentErrors of a retrieval.
    """
    check_served(context, order)
    record = context.records.read(order)
    if record is None:
        raise NotFound("This order is not known.")
    if record.state != "created":
        raise Changed("This order has no PaymentIntent: the next request for it resolves it.")
    shown = find_recorded(context, record, deadline)
    if shown is not None:
        raise Changed(
            f"Stripe shows this order's PaymentIntent {shown.id} with the status {shown.status}. "
            + ("The next request creates another one." if not shown.payable else "Cancel it.")
        )
    return record


def free_order(context: Context, record: OrderRecord, reason: str) -> None:
    """Record that the PaymentIntent is gone, so that the next request creates another one.

    That request looks for PaymentIntents of the order first. `record` is the result of
    `check_missing`. Raises RecordChanged if the record is no longer that one.
    """
    freed = with_missing(context, record, last_known(record), "freed", reason=reason)
    context.records.write(record, freed)
    context.report("freed", record, payment_intent_id=record.payment_intent_id, reason=reason)
