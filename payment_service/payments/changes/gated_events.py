"""Apply the event of a gated gateway to its order.

Like any event it only tells the service to look (see payments.changes.webhook). An approval is
captured. Money that the gateway took and no record shows is adopted, as a look-up would (rule 4).
"""

from __future__ import annotations

from payment_service.errors import AlreadyPaid, InFlight
from payment_service.gateways.contract import NamedPayment
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.intent import CANCELED, SUCCEEDED, TAKEN
from payment_service.payments.after_payment.record_money import fetch_money, write_money
from payment_service.payments.context import Context
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.creation.recorded_intent import fetch_recorded, find_recorded
from payment_service.payments.gated.complete import complete, find
from payment_service.payments.gated.shop_events import with_event
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.follow_up import MAX_WEBHOOKS
from payment_service.payments.record.history import STRAY_ADOPTED
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.recovery.strays import two_paid

# An approval of a payment that the order's record does not name: it moves no money.
IGNORED = "ignored"


def apply_gated_event(
    context: Context, event: PaymentEvent, record: OrderRecord | None, deadline: Deadline
) -> str | None:
    """Apply an event and return a word for its effect; see payments.changes.webhook.apply_event.

    Returns None if the gateway has no such payment of this order. Raises RecordChanged, and the
    PaymentErrors after which the gateway must send it again.
    """
    deadline = deadline.earlier(context.timing.store)
    if record is not None and record.state == "pending":
        raise InFlight("This order is being created right now.")
    if record is not None and _is_recorded(record, event):
        return _apply(context, event, record, deadline)
    if not event.intent_id:
        return None
    named = context.gated[event.gateway].find_named(event.intent_id, event.order, deadline)
    if named is None:
        return None
    if not gated_transitions.is_paid(named.intent):
        return IGNORED if record else "unknown_order"
    if record is None:
        effect = _adopt_lost(context, event, named)
        if event.is_refund:
            # The refund itself is recorded with the record that is there now.
            raise RecordChanged
        return effect
    if named.intent.given_back:
        # A person has refunded the forgotten payment: the order has none of that money.
        return IGNORED
    return _adopt(context, record, named, deadline)


def _is_recorded(record: OrderRecord, event: PaymentEvent) -> bool:
    """Whether the event is about the recorded payment; one of a refund may name only the order."""
    named = event.intent_id or record.payment_intent_id
    return (event.gateway, named) == (record.sent.gateway, record.payment_intent_id)


def _apply(context: Context, event: PaymentEvent, record: OrderRecord, deadline: Deadline) -> str:
    """Complete the recorded payment. A decline is tried again only after another approval."""
    if record.payment_status == CANCELED:
        return _check_canceled(context, record, deadline)
    try:
        after, intent = complete(context, record, deadline, unattended=not event.is_approval)
    except AlreadyPaid:
        return "paid_before"
    webhooks = (*after.follow_up.webhooks, event.id)[-MAX_WEBHOOKS:]
    if event.is_refund and after.payment_status == SUCCEEDED:
        current = fetch_recorded(context, after, deadline)
        money = fetch_money(context, after, current, deadline)
        write_money(context, after, current, money, f"webhook {event.type}", webhooks=webhooks)
        context.report("webhook", after, type=event.type, status=current.status)
        return "applied"
    noted = transitions.touched(
        after, context.clock(), "webhook", type=event.type, status=intent.status
    )
    context.records.write(after, noted.with_follow_up(webhooks=webhooks))
    context.report("webhook", after, type=event.type, status=intent.status)
    return "applied"


def _check_canceled(context: Context, record: OrderRecord, deadline: Deadline) -> str:
    """Record money that was taken although the record says canceled: the store lost a capture."""
    found = find(context.gated_gateway_of(record), record, deadline)
    if found is None or not gated_transitions.is_paid(found):
        return IGNORED
    after = gated_transitions.seen(record, found, context.clock(), STRAY_ADOPTED)
    context.records.write(record, with_event(context, after, found))
    context.report("stray_paid", after, payment_intent_id=found.id, status=found.status)
    return "adopted"


def _adopt_lost(context: Context, event: PaymentEvent, named: NamedPayment) -> str:
    """Record the payment of an order that the store has lost, so that no shopper pays again."""
    lease = context.lease()
    found = transitions.found(event.order, named.intent, named.sent, lease)
    mine = with_event(context, gated_transitions.with_next_look(found, lease.now), named.intent)
    if context.records.claim(mine).owner != mine.owner:
        raise RecordChanged
    context.report("adopted", mine, status=named.intent.status)
    return "adopted"


def _adopt(context: Context, record: OrderRecord, named: NamedPayment, deadline: Deadline) -> str:
    """Record a payment that the gateway took although the record names another.

    The other one is canceled afterwards, so that the shopper does not pay twice. If its payment is
    taken too, a person must look.
    """
    if gated_transitions.is_claimed(record) and not record.follow_up.paid_before:
        raise InFlight("This order's payment is being captured right now.")
    paid, now = named.intent, context.clock()
    is_open = not context.is_gated(record)
    own = find_recorded(context, record, deadline) if is_open else None
    # An approval is not taken yet, an authorization of a card is.
    taken = TAKEN if is_open else gated_transitions.PAID
    status = own.status if own else record.payment_status
    if status in taken and not record.follow_up.paid_before:
        return two_paid(context, record, paid)
    adopted = gated_transitions.adopted_elsewhere(record, paid, named.sent, now)
    if own is not None and own.payable:
        adopted = transitions.replaced(adopted, own.id, now)
    adopted = gated_transitions.with_next_look(adopted, now)
    context.records.write(record, with_event(context, adopted, paid))
    context.report("stray_paid", adopted, payment_intent_id=paid.id, status=paid.status)
    if own is not None and own.payable:
        cancel_and_check(context.gateway_of(record), own, "duplicate", deadline)
    return "adopted"
