"""A paid PaymentIntent whose order the store has lost."""

from __future__ import annotations

from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from payment_service.payments.context import Tools
from payment_service.payments.record import transitions


def adopt_lost(tools: Tools, order: Order, intent: Intent) -> bool:
    """Record a paid PaymentIntent for an order whose record is missing."""
    params = {"amount": intent.amount, "currency": intent.currency}
    sent = SentParams(tools.gateway.api_version, params, tools.gateway.facts.name)
    mine = tools.telling(transitions.found(order, intent, sent, tools.lease()), intent)
    if tools.records.claim(mine).owner != mine.owner:
        return False
    tools.saw("adopted", mine, status=intent.status)
    return True
