"""Apply a gateway's event to its order.

An event only tells the service to fetch the PaymentIntent. The event's object may show an old
state, and Stripe may deliver events twice, late and in any order. The service therefore records
the PaymentIntent's current state: a late `payment_failed` for a paid order changes nothing.
"""

from __future__ import annotations

from payment_service.errors import InFlight
from payment_service.gateways.contract import Gateway, NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.intent import REQUIRES_CAPTURE, TAKEN, Intent
from payment_service.payments.after_payment.record_money import fetch_capture_before
from payment_service.payments.changes.gated_events import apply_gated_event
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded, with_fetched
from payment_service.payments.creation.resolve import is_unknown, resolve
from payment_service.payments.record.follow_up import MAX_WEBHOOKS
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged, retry_on_race
from payment_service.payments.recovery.lost_records import adopt_lost
from payment_service.payments.recovery.strays import settle_stray

# The order's account has no such PaymentIntent, or the event may not concern the order.
NOT_OURS = "not_ours"


def apply_event(context: Context, event: PaymentEvent, deadline: Deadline) -> str:
    """Apply an event and return a word for its effect; a second call changes nothing.

    Raises PaymentError if the event could not be applied. The service then does not mark it as
    seen, and answers with an error, so that Stripe sends it again.
    """
    return retry_on_race(lambda: _apply(context, event, deadline))


def _apply(context: Context, event: PaymentEvent, deadline: Deadline) -> str:
    record = context.records.read(event.order)
    if record is not None and event.id in record.follow_up.webhooks:
        return "duplicate"
    if event.gateway in context.gated:
        return apply_gated_event(context, event, record, deadline) or NOT_OURS
    if event.gateway != context.gateway.facts.name:
        return NOT_OURS
    if record is None:
        return _apply_to_lost(context, event, deadline)
    if record.sent.gateway != event.gateway:
        return _apply_elsewhere(context, event, record, deadline)
    if is_unknown(record, context.clock()):
        resolve(context, record, deadline)
        # The order is known now: begin again with its record.
        raise RecordChanged
    if record.state == "pending":
        return _apply_in_flight(event)
    recorded = record.payment_intent_id == event.intent_id
    if recorded and event.is_creation:
        # The event adds nothing: without this, every creation would cost a fetch and a write.
        return "known"
    if recorded:
        return _write(context, event, record, fetch_recorded(context, record, deadline), deadline)
    stray = _fetch(context.gateway_of(record), event, deadline)
    return NOT_OURS if stray is None else settle_stray(context, record, stray, deadline)


def _apply_elsewhere(
    context: Context, event: PaymentEvent, record: OrderRecord, deadline: Deadline
) -> str:
    """Settle a payment of an order that went on at another gateway.

    Rule 13: the event says nothing about the attempt there, so it resolves none. Raises
    Misconfigured if that gateway is not configured here.
    """
    context.check_configured(record)
    if record.state == "pending":
        return _apply_in_flight(event)
    stray = _fetch(context.gateway, event, deadline)
    return NOT_OURS if stray is None else settle_stray(context, record, stray, deadline)


def _apply_in_flight(event: PaymentEvent) -> str:
    """Ignore a creation, which the owner records itself; have Stripe retry any other event."""
    if event.is_creation:
        return "in_flight"
    raise InFlight("This order is being created right now.")


def _apply_to_lost(context: Context, event: PaymentEvent, deadline: Deadline) -> str:
    """Adopt the PaymentIntent of a lost order if it is paid, so that no shopper pays again."""
    intent = _fetch(context.gateway, event, deadline)
    if intent is None:
        return NOT_OURS
    if intent.status not in TAKEN:
        return "unknown_order"
    adopt_lost(context, event.order, intent)
    return "adopted"


def _write(
    context: Context, event: PaymentEvent, record: OrderRecord, intent: Intent, deadline: Deadline
) -> str:
    if not _is_of(intent, event):
        return NOT_OURS
    known = record
    if intent.status == REQUIRES_CAPTURE:
        before = fetch_capture_before(context.gateway_of(record), intent, deadline)
        # The shop's event names the end of the authorization.
        known = record.with_follow_up(capture_before=before)
    seen = with_fetched(context, known, intent, "webhook", type=event.type)
    webhooks = (*seen.follow_up.webhooks, event.id)[-MAX_WEBHOOKS:]
    context.records.write(record, seen.with_follow_up(webhooks=webhooks))
    context.report("webhook", record, type=event.type, status=intent.status)
    return "applied"


def _fetch(gateway: Gateway, event: PaymentEvent, deadline: Deadline) -> Intent | None:
    """Fetch the PaymentIntent; return it if it has the event's mode and order."""
    try:
        intent = gateway.retrieve(event.intent_id, deadline)
    except NoSuchIntent:
        return None
    return intent if _is_of(intent, event) else None


def _is_of(intent: Intent, event: PaymentEvent) -> bool:
    return intent.livemode == event.livemode and intent.is_of(event.order)
