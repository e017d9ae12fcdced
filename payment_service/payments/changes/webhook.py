"""What an event of Stripe's does to the order that it is about.

An event is a hint to look, never the truth: its object shows the PaymentIntent as it was, and
events come twice, late and in any order. So the PaymentIntent is fetched, and what it is now is
written down; a late `payment_failed` finds the order paid and changes nothing.
"""

from __future__ import annotations

from payment_service.errors import InFlight
from payment_service.gateways.contract import Gateway, NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.intent import TAKEN, Intent
from payment_service.key_store.contract import KeyRecord
from payment_service.payments.context import Tools
from payment_service.payments.creation.resolve import is_unknown, resolve
from payment_service.payments.record import transitions
from payment_service.payments.record.follow_up import MAX_WEBHOOKS, follow_up_of, with_follow_up
from payment_service.payments.recovery.lost_records import adopt_lost
from payment_service.payments.recovery.strays import settle_stray

# Stripe has no such PaymentIntent in the order's account, or the event may not speak of the order.
NOT_OURS = "not_ours"

# How often a write that lost a race is tried again before Stripe is told to come back later.
MAX_TRIES = 5


def apply_event(tools: Tools, event: PaymentEvent, deadline: Deadline) -> str:
    """Apply an event and return a word for what it did; again, and it does nothing more.

    Raises PaymentError where it could not be applied: it is then not marked as seen, and
    Stripe, told so, sends it again.
    """
    for _ in range(MAX_TRIES):
        record = tools.store.read(event.order)
        if record is not None and event.id in follow_up_of(record).webhooks:
            return "duplicate"
        done = _apply(tools, event, record, deadline)
        if done:
            return done
    raise InFlight("This order is being changed by other requests right now.")


def _apply(
    tools: Tools, event: PaymentEvent, record: KeyRecord | None, deadline: Deadline
) -> str | None:
    if record is None:
        return _apply_to_lost(tools, event, deadline)
    if is_unknown(record, tools.clock()):
        resolve(tools, record, deadline)
        return None
    if record.state == "pending":
        return _apply_in_flight(event)
    recorded = record.payment_intent_id == event.intent_id
    if recorded and event.is_creation:
        # Nothing to learn: every creation would otherwise cost a fetch and a write.
        return "known"
    intent = _fetch(tools.gateway_of(record), event, deadline)
    if intent is None:
        return NOT_OURS
    if not recorded:
        return settle_stray(tools, record, intent, deadline)
    return _write(tools, event, record, intent)


def _apply_in_flight(event: PaymentEvent) -> str:
    """The owner records what it made; about anything else Stripe is to ask again."""
    if event.is_creation:
        return "in_flight"
    raise InFlight("This order is being created right now.")


def _apply_to_lost(tools: Tools, event: PaymentEvent, deadline: Deadline) -> str | None:
    """The store has lost the order: once it is paid, nobody may pay it again."""
    intent = _fetch(tools.gateway, event, deadline)
    if intent is None:
        return NOT_OURS
    if intent.status not in TAKEN:
        return "unknown_order"
    return "adopted" if adopt_lost(tools, event.order, intent) else None


def _write(tools: Tools, event: PaymentEvent, record: KeyRecord, intent: Intent) -> str | None:
    seen = transitions.seen(record, intent, tools.clock(), "webhook", type=event.type)
    webhooks = (*follow_up_of(seen).webhooks, event.id)[-MAX_WEBHOOKS:]
    seen = with_follow_up(seen, webhooks=webhooks)
    if not tools.store.replace(record, tools.telling(seen, intent)):
        return None
    tools.saw("webhook", record, type=event.type, status=intent.status)
    return "applied"


def _fetch(gateway: Gateway, event: PaymentEvent, deadline: Deadline) -> Intent | None:
    """The PaymentIntent as it is now, if it is what the event says it is."""
    try:
        intent = gateway.retrieve(event.intent_id, deadline)
    except NoSuchIntent:
        return None
    same_mode = intent.livemode == event.livemode
    return intent if same_mode and intent.is_of(event.order) else None
