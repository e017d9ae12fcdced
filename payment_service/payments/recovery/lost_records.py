"""A paid PaymentIntent whose order the store has lost."""

from __future__ import annotations

from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from payment_service.payments.context import Context
from payment_service.payments.record import transitions


def adopt_lost(context: Context, order: Order, intent: Intent) -> bool:
    """Record a paid PaymentIntent for an order whose record is missing."""
    params = {"amount": intent.amount, "currency": intent.currency}
    sent = SentParams(context.gateway.api_version, params, context.gateway.facts.name)
    mine = context.telling(transitions.found(order, intent, sent, context.lease()), intent)
    if context.records.claim(mine).owner != mine.owner:
        return False
    context.saw("adopted", mine, status=intent.status)
    return True
