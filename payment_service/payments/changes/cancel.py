"""Cancel an order's PaymentIntent, so that it cannot be paid and the order may be created again."""

from __future__ import annotations

from payment_service.errors import InFlight, NoLongerOpen, StripeFailed
from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.key_store.contract import Order
from payment_service.payments.changes.existing_order import fetch, known_record
from payment_service.payments.context import Context
from payment_service.payments.record import transitions

MAX_TRIES = 5


def cancel_order(context: Context, order: Order, reason: str, deadline: Deadline) -> Intent:
    """Return the canceled PaymentIntent; a second call changes nothing.

    Canceling releases money that is only held (requires_capture), as the caller requests.
    Raises NoLongerOpen once it is paid or being paid, NotFound, InFlight.
    """
    stripe_deadline = deadline.earlier(context.timing.store)
    record = known_record(context, order, deadline)
    assert record.payment_intent_id
    intent = fetch(context, record, stripe_deadline)
    if intent.status != CANCELED:
        intent = _cancel(
            context.gateway_of(record), record.payment_intent_id, reason, stripe_deadline
        )
    for _ in range(MAX_TRIES):
        if record.payment_status == CANCELED:
            return intent
        canceled = transitions.seen(record, intent, context.clock(), "canceled")
        if context.records.replace(record, context.telling(canceled, intent)):
            context.saw("canceled", record)
            return intent
        held = context.records.read(order)
        if held is None or held.payment_intent_id != intent.id:
            # Another request has created the order again; the caller did not cancel that one.
            return intent
        record = held
    raise InFlight("This order is being changed by other requests right now.")


def _cancel(gateway: Gateway, intent_id: str, reason: str, deadline: Deadline) -> Intent:
    canceled = gateway.cancel(intent_id, reason, deadline)
    if canceled:
        return canceled
    found = gateway.retrieve(intent_id, deadline)
    if found.status in TAKEN:
        raise NoLongerOpen(found.status)
    if found.status != CANCELED:
        raise StripeFailed("Stripe did not cancel this order's PaymentIntent.")
    return found
