"""A paid PaymentIntent whose order the store has lost."""

from __future__ import annotations

from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from payment_service.payments.context import Context
from payment_service.payments.record import transitions
from payment_service.payments.record.races import RecordChanged


def adopt_lost(context: Context, order: Order, intent: Intent) -> None:
    """Record a PaymentIntent of the account's open gateway for an order whose record is missing.

    Raises RecordChanged if the order has a record by now.
    """
    params = {"amount": intent.amount, "currency": intent.currency}
    sent = SentParams(context.gateway.api_version, params, context.gateway.facts.name)
    mine = context.with_shop_event(transitions.found(order, intent, sent, context.lease()), intent)
    if context.records.claim(mine).owner != mine.owner:
        raise RecordChanged
    context.report("adopted", mine, status=intent.status)
