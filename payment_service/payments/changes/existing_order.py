"""Load an order that a request wants to change: its record and its current PaymentIntent."""

from __future__ import annotations

from payment_service.errors import InFlight, Misconfigured, NotFound
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
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


def fetch(context: Context, record: OrderRecord, deadline: Deadline) -> Intent:
    """Fetch the current state of the recorded PaymentIntent. Raises PaymentError."""
    assert record.payment_intent_id
    try:
        return context.gateway_of(record).retrieve(record.payment_intent_id, deadline)
    except NoSuchIntent as unknown:
        raise Misconfigured(
            "Stripe does not know this order's PaymentIntent: is the key another account's?"
        ) from unknown
