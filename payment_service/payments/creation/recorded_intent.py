"""The PaymentIntent that a record names, as its gateway has it now."""

from __future__ import annotations

from payment_service.errors import Misconfigured
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.payments.context import Context
from payment_service.payments.record.order_record import OrderRecord


def fetch_recorded(context: Context, record: OrderRecord, deadline: Deadline) -> Intent:
    """Fetch the recorded PaymentIntent.

    Raises Misconfigured if the gateway does not know it, and the PaymentErrors of a retrieval.
    """
    assert record.payment_intent_id
    found = find_recorded(context, record, deadline)
    if found is None:
        raise Misconfigured(
            "Stripe does not know this order's PaymentIntent: is the key another account's?"
        )
    return found


def find_recorded(context: Context, record: OrderRecord, deadline: Deadline) -> Intent | None:
    """Fetch the recorded PaymentIntent; None if there is none, or the gateway does not know it."""
    if record.payment_intent_id is None:
        return None
    try:
        return context.gateway_of(record).retrieve(record.payment_intent_id, deadline)
    except NoSuchIntent:
        return None
