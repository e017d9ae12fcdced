"""Apply the gateway's events about refunds and disputes, those of its dashboard included.

As with payments, an event only tells the service to look: it records the current refunds and
disputes of the PaymentIntent (rule 30). So events may be doubled, late and in any order.
"""

from __future__ import annotations

from collections.abc import Callable

from payment_service.errors import InFlight
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import DisputeEvent, MoneyEvent
from payment_service.gateways.intent import TAKEN, Intent
from payment_service.gateways.order_metadata import order_named_in
from payment_service.key_store.contract import Order
from payment_service.payments.after_payment.record_money import fetch_money, write_money
from payment_service.payments.changes.webhook import NOT_OURS
from payment_service.payments.context import Context
from payment_service.payments.creation.resolve import is_unknown, resolve
from payment_service.payments.record.follow_up import MAX_WEBHOOKS
from payment_service.payments.record.races import RecordChanged, retry_on_race
from payment_service.payments.recovery.lost_records import adopt_lost

# The PaymentIntent of the event is not the one that the order's record names.
NOT_RECORDED = "not_recorded"

Covers = Callable[[str | None], bool]


def find_intent(context: Context, event: MoneyEvent, deadline: Deadline) -> Intent | None:
    """Return the PaymentIntent of an event; None if the account has no such one in this mode."""
    try:
        intent = context.gateway.retrieve(event.intent_id, deadline)
    except NoSuchIntent:
        return None
    return intent if intent.livemode == event.livemode else None


def apply_money_event(
    context: Context, event: MoneyEvent, intent: Intent, covers: Covers, deadline: Deadline
) -> str:
    """Apply an event to the order that its PaymentIntent names; return a word for the effect.

    `covers`: whether the secret that signed the event may change a client's orders. A second call
    changes nothing. Raises PaymentError if the event must be sent again.
    """
    order = order_named_in(intent.metadata, livemode=intent.livemode)
    if order is None or not covers(order.client_id):
        return NOT_OURS
    return retry_on_race(lambda: _apply(context, event, order, intent, deadline))


def _apply(
    context: Context, event: MoneyEvent, order: Order, intent: Intent, deadline: Deadline
) -> str:
    record = context.records.read(order)
    if record is None:
        if intent.status not in TAKEN:
            return "unknown_order"
        adopt_lost(context, order, intent)
        raise RecordChanged
    if event.id in record.follow_up.webhooks:
        return "duplicate"
    if is_unknown(record, context.clock()) and not context.gated_of(record):
        # Rule 13: an event is evidence about its own gateway only.
        resolve(context, record, deadline)
        raise RecordChanged
    if record.state == "pending":
        raise InFlight("This order is being created right now.")
    if record.payment_intent_id != intent.id:
        return NOT_RECORDED
    # The PaymentIntent was read before the record, which may be newer.
    current = context.gateway_of(record).retrieve(intent.id, deadline)
    disputes = isinstance(event, DisputeEvent)
    money = fetch_money(context, record, current, deadline, disputes=disputes)
    webhooks = (*record.follow_up.webhooks, event.id)[-MAX_WEBHOOKS:]
    write_money(context, record, current, money, f"webhook {event.type}", webhooks=webhooks)
    context.report("webhook", record, type=event.type, status=current.status)
    return "applied"
