"""The shop events that the writes of a gated record carry."""

from __future__ import annotations

from payment_service.gateways.intent import Failure, Intent
from payment_service.payments.context import Context
from payment_service.payments.record import gated_transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.shop_events.catalogue import FAILED, EventKind, with_named_event


def with_event(context: Context, record: OrderRecord, intent: Intent) -> OrderRecord:
    """Return the record with the shop event of its payment, if any, in its outbox.

    An approval is none: no money is held, and the shop must not act on it.
    """
    if intent.status == gated_transitions.APPROVED:
        return record
    return context.with_shop_event(record, intent)


def with_failed_event(context: Context, record: OrderRecord, intent: Intent) -> OrderRecord:
    """Return the record with the event order.failed; `intent` has the failure."""
    if not context.listened(record.order) or intent.failure is None:
        return record
    kind = EventKind(FAILED, f"failed:{intent.failure.name}")
    told = with_named_event(record, intent, kind, context.clock())
    return context.naming_gateway(record, told)


def failure_of(record: OrderRecord, code: str) -> Failure:
    """Return the failure of the record's capture: each number fails once."""
    number = gated_transitions.capture_of(record).number
    return Failure(f"{record.payment_intent_id}:{number}", code)
