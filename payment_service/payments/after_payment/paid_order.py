"""Load the record of an order whose money a request wants to move, even if the store lost it."""

from __future__ import annotations

from typing import TypeVar

from payment_service.errors import NotFound
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import TAKEN, Intent
from payment_service.key_store.contract import Order
from payment_service.payments.after_payment.sightings import shown
from payment_service.payments.changes.existing_order import known_record
from payment_service.payments.context import Context
from payment_service.payments.record.money import CaptureEntry, RefundEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.lost_records import adopt_lost

# Stripe refunds a card payment for about half a year. Older PaymentIntents are found by its search.
LOOK_BACK_SECONDS = 180 * 86_400.0

E = TypeVar("E", CaptureEntry, RefundEntry)


def paid_record(
    context: Context, order: Order, deadline: Deadline, refund_id: str | None = None
) -> OrderRecord:
    """Return the order's record; rebuild a lost one from the gateway's list (rule 27).

    `refund_id`: of two payments of a lost order, the one that has this refund is the order's.
    Raises NotFound, InFlight, RecordChanged, and the errors of a look-up.
    """
    try:
        return known_record(context, order, deadline)
    except NotFound:
        if context.records.read(order) is not None:
            raise
    adopt_lost(context, order, _find(context, order, deadline, refund_id))
    return known_record(context, order, deadline)


def _find(context: Context, order: Order, deadline: Deadline, refund_id: str | None) -> Intent:
    since = context.clock() - LOOK_BACK_SECONDS
    found = context.gateway.find(order, since, deadline)
    taken = [each for each in found if each.status in TAKEN and each.livemode == order.livemode]
    if not taken:
        raise NotFound("There is no payment of this order.")
    newest = max(taken, key=lambda each: (each.created, each.id))
    if len(taken) == 1 or refund_id is None:
        return newest
    for each in taken:
        refunds = context.gateway.list_refunds(each.id, deadline)
        if shown(refunds, order, refund_id, None):
            return each
    return newest
