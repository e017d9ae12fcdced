"""The page on which the shopper approves a payment, when a read does not show its address."""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Made
from payment_service.payments.context import Context
from payment_service.payments.idempotency_key import idempotency_key
from payment_service.payments.record.order_record import OrderRecord


def with_link(context: Context, record: OrderRecord, intent: Intent, deadline: Deadline) -> Intent:
    """Return the payment with its page, from a resend of its creation (rule 2).

    Only while the gateway certainly knows the key: afterwards it would make another payment. The
    key is about as old as the payment. The link stays None if the gateway returns none.
    """
    gateway, order = context.gated_gateway_of(record), record.order
    age = context.clock() - intent.created
    if not intent.created or age >= gateway.facts.key_is_safe_seconds:
        return intent
    key = idempotency_key(order.client_id, order.order_id, record.attempt, gateway.facts.name)
    made = gateway.create(record.sent, key, deadline)
    if not isinstance(made, Made) or made.intent.id != intent.id:
        return intent
    return replace(intent, redirect_url=made.intent.redirect_url)
