"""The catalogue of the shop's order events: when the service sends each one, and its payload.

| PaymentIntent                                   | event            | once for each        |
|-------------------------------------------------|------------------|----------------------|
| succeeded                                       | order.paid       | PaymentIntent        |
| requires_payment_method, with a failure         | order.failed     | failed payment       |
| canceled                                        | order.canceled   | PaymentIntent        |
| requires_capture                                | order.authorized | PaymentIntent        |

| money after the payment                         | event                | once for each    |
|-------------------------------------------------|----------------------|------------------|
| a refund has succeeded                          | order.refunded       | refund           |
| a refund has failed or is canceled              | order.refund_failed  | refund           |
| a dispute is open; an inquiry became a dispute  | order.disputed       | dispute, inquiry |
| a dispute is closed                             | order.dispute_closed | dispute          |

An event reports the current state, not each step that led to it: if a payment failed and then
succeeded before the service looked, the shop gets order.paid only. The id of an event is a pure
function of its order and name, so that the same event has the same id even after the store is lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from payment_service.gateways.intent import CANCELED, Intent
from payment_service.payments.idempotency_key import NAMESPACE
from payment_service.payments.record.follow_up import MAX_TOLD, FollowUp, OrderEvent
from payment_service.payments.record.order_record import OrderRecord

# Stripe, too, retries for three days: a shop that was down over a weekend loses nothing.
KEEP_TRYING_SECONDS = 3 * 86_400.0

PAID, FAILED, EVENT_CANCELED = "order.paid", "order.failed", "order.canceled"
AUTHORIZED = "order.authorized"
REFUNDED, REFUND_FAILED = "order.refunded", "order.refund_failed"
DISPUTED, DISPUTE_CLOSED = "order.disputed", "order.dispute_closed"


class EventKind(Struct, frozen=True):
    """The event that a status calls for. `name` identifies it among all events of its order."""

    type: str
    name: str


def event_of(intent: Intent) -> EventKind | None:
    """Return the event that a PaymentIntent's status calls for, if any."""
    match intent.status:
        case "succeeded":
            return EventKind(PAID, f"paid:{intent.id}")
        case "canceled":
            return EventKind(EVENT_CANCELED, f"{CANCELED}:{intent.id}")
        case "requires_capture":
            return EventKind(AUTHORIZED, f"authorized:{intent.id}")
        case "requires_payment_method" if intent.failure:
            return EventKind(FAILED, f"failed:{intent.failure.name}")
    return None


def with_event(record: OrderRecord, intent: Intent, now: float) -> OrderRecord:
    """Return the record with the event that the PaymentIntent calls for in its outbox.

    Returns the same record if there is no such event, or if the record already had it. The
    caller sets the version.
    """
    kind = event_of(intent)
    return record if kind is None else with_named_event(record, intent, kind, now)


def with_named_event(
    record: OrderRecord, intent: Intent, kind: EventKind, now: float
) -> OrderRecord:
    """Return the record with this event of its PaymentIntent, unless the record already had it."""
    kept = record.follow_up
    if kind.name in kept.event_names:
        return record
    facts = _facts(record, intent)
    if kind.type == AUTHORIZED:
        facts |= {"capture_before": kept.capture_before}
    told = record.with_follow_up(event_names=_with(kept, kind.name))
    return with_queued_event(told, kind, facts, now)


def with_queued_event(
    record: OrderRecord, kind: EventKind, facts: Mapping[str, Any], now: float
) -> OrderRecord:
    """Return the record with an event in its outbox; the caller notes its name in the record."""
    event = OrderEvent(
        id=event_id(record, kind),
        type=kind.type,
        at=round(now, 3),
        facts=facts,
        next_at=now,
        until=now + KEEP_TRYING_SECONDS,
    )
    return record.with_follow_up(queue=(*record.follow_up.queue, event))


def with_gateway_named(before: OrderRecord, after: OrderRecord) -> OrderRecord:
    """Return `after` with the gateway in each event that `before` did not have yet."""
    old, queue = before.follow_up.queue, after.follow_up.queue
    if len(queue) == len(old):
        return after
    named = (
        replace(event, facts={**event.facts, "gateway": after.sent.gateway})
        for event in queue[len(old) :]
    )
    return after.with_follow_up(queue=(*queue[: len(old)], *named))


def order_facts(record: OrderRecord) -> dict[str, Any]:
    """Return the facts of an event about money that moved after the payment."""
    return {
        "order_id": record.order.order_id,
        "client_id": record.order.client_id,
        "payment_intent_id": record.payment_intent_id,
        "status": record.payment_status,
        "amount": record.amount,
        "amount_refunded": record.follow_up.refunded,
        "currency": record.currency,
    }


def event_id(record: OrderRecord, kind: EventKind) -> str:
    """Return the id of an event: the same in every process and at any time."""
    order = record.order
    named = json.dumps([NAMESPACE, order.livemode, order.client_id, order.order_id, kind.name])
    return f"evt_order_{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def _facts(record: OrderRecord, intent: Intent) -> dict[str, Any]:
    return {
        "order_id": record.order.order_id,
        "client_id": record.order.client_id,
        "payment_intent_id": intent.id,
        "status": intent.status,
        "amount": intent.amount,
        "amount_received": intent.amount_received,
        "currency": intent.currency,
        "attempt": record.attempt,
        "failure_code": intent.failure.code if intent.failure else None,
    }


def _with(kept: FollowUp, name: str) -> tuple[str, ...]:
    """Add a name. Paid events are never dropped; of the others, the oldest are."""
    names = [*kept.event_names, name]
    others = [each for each in names if not each.startswith("paid:")]
    dropped = set(others[: max(0, len(others) - MAX_TOLD)])
    return tuple(each for each in names if each not in dropped)
