"""The PaymentIntent that a record names, as its gateway has it now."""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, SUCCEEDED, Intent
from payment_service.payments.context import Context
from payment_service.payments.creation.missing_intent import missing
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord


def fetch_recorded(context: Context, record: OrderRecord, deadline: Deadline) -> Intent:
    """Fetch the recorded PaymentIntent; see `missing` for one that the gateway no longer has.

    Raises Misconfigured if the gateway does not know it in live mode, unless the record says so
    already; and the PaymentErrors of a retrieval.
    """
    found = find_recorded(context, record, deadline)
    if found is not None:
        return found
    known = last_known(record)
    return replace(known, missing=True) if transitions.is_gone(record) else missing(known)


def find_recorded(context: Context, record: OrderRecord, deadline: Deadline) -> Intent | None:
    """Fetch the recorded PaymentIntent; None if there is none, or the gateway does not know it."""
    if record.payment_intent_id is None:
        return None
    try:
        gated = context.gated_of(record)
        if gated is not None:
            return gated.retrieve(record.payment_intent_id, record.sent, deadline)
        return context.gateway_of(record).retrieve(record.payment_intent_id, deadline)
    except NoSuchIntent:
        return None


def last_known(record: OrderRecord) -> Intent:
    """Return the recorded PaymentIntent as the record has it, without its client_secret."""
    assert record.payment_intent_id
    order = record.order
    client = {} if order.client_id is None else {"client_id": order.client_id}
    return Intent(
        id=record.payment_intent_id,
        client_secret="",
        status=record.payment_status or "",
        amount=record.amount,
        currency=record.currency,
        created=int(record.first_sent_at),
        metadata={"order_id": order.order_id, **client},
        livemode=order.livemode,
    )


def with_fetched(
    context: Context, record: OrderRecord, intent: Intent, what: str = "seen", **facts: str | int
) -> OrderRecord:
    """Return the record with the fetched state of its PaymentIntent, and with its shop event."""
    if intent.missing and intent.status == CANCELED:
        return with_missing(context, record, intent, "gone")
    seen = transitions.seen(record, intent, context.clock(), what, **facts)
    return context.with_shop_event(seen, intent)


def with_missing(
    context: Context, record: OrderRecord, known: Intent, what: str, **facts: str
) -> OrderRecord:
    """Return the record without a PaymentIntent that can be paid, and with its shop event.

    The shop is not told that a paid order is canceled.
    """
    over, gateway = replace(known, status=CANCELED, missing=True), context.gateway_of(record).facts
    changed = transitions.gone(record, over, context.clock(), gateway, what, **facts)
    return changed if known.status == SUCCEEDED else context.with_shop_event(changed, over)
