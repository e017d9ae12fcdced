"""Load the record of an order that a request wants to change."""

from __future__ import annotations

from payment_service.errors import InFlight, NotFound
from payment_service.gateways.deadline import Deadline
from payment_service.key_store.contract import Order
from payment_service.payments.context import Context
from payment_service.payments.creation.resolve import is_unknown, resolve
from payment_service.payments.record.order_record import OrderRecord


def known_record(context: Context, order: Order, deadline: Deadline) -> OrderRecord:
    """Return the record of an order whose PaymentIntent is known; resolve an unknown order first.

    Raises NotFound, InFlight, and the errors of `resolve`.
    """
    record = context.records.read(order)
    if record is not None and is_unknown(record, context.clock()):
        record = resolve(context, record, deadline)
    if record is None or record.state == "rejected":
        raise NotFound("There is no PaymentIntent of this order.")
    if record.state == "pending":
        raise InFlight("This order is being created by another request right now.")
    return record
