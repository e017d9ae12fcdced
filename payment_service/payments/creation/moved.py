"""A payment at an open gateway whose mark names the one that took the order's money (rule 22).

A request that meets it without knowing has lost the order's record: it adopts what the mark names.
"""

from __future__ import annotations

from collections.abc import Iterable

from payment_service.errors import GatewayUnreachable, Misconfigured, PaymentError
from payment_service.gateways.contract import NamedPayment
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import TAKEN, Intent
from payment_service.key_store.contract import Order
from payment_service.payments.context import Context
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.gated.shop_events import with_event
from payment_service.payments.record import gated_transitions, transitions, witness
from payment_service.payments.record.order_record import OrderRecord
from payment_service.schema.gateway_names import GATEWAY_TITLES


def find_moved(
    context: Context, record: OrderRecord, found: Iterable[Intent], deadline: Deadline
) -> NamedPayment | None:
    """Return the payment that the mark of one of these names, if its gateway has taken the money.

    Raises GatewayUnreachable if that gateway does not show it: the order is probably paid, so no
    payment may be made. Raises Misconfigured if it is not configured here.
    """
    marks = {mark for each in found if (mark := witness.named_by(each, record)) is not None}
    for name, payment_id in sorted(marks):
        named = _read(context, record.order, name, payment_id, deadline)
        if gated_transitions.is_paid(named.intent):
            return named
    return None


def _read(
    context: Context, order: Order, name: str, payment_id: str, deadline: Deadline
) -> NamedPayment:
    gateway, title = context.gated.get(name), GATEWAY_TITLES[name]
    if gateway is None:
        raise Misconfigured(f"This order moved to {title}, which is not configured here.")
    silent = GatewayUnreachable(
        f"This order moved to {title}, which does not show its payment; ask again.",
        code=f"{name}_unreachable",
    )
    try:
        named = gateway.find_named(payment_id, order, deadline)
    except Misconfigured:
        raise
    except PaymentError as failed:
        raise silent from failed
    if named is None:
        raise silent
    return named


def adopted(context: Context, record: OrderRecord, named: NamedPayment) -> OrderRecord:
    """Return the record with the payment that took the money, and with its shop event."""
    now = context.clock()
    after = gated_transitions.adopted_elsewhere(record, named.intent, named.sent, now, "adopted")
    return with_event(context, gated_transitions.with_next_look(after, now), named.intent)


def adopt_instead(
    context: Context, record: OrderRecord, intent: Intent, deadline: Deadline
) -> bool:
    """Record what the mark of the recorded payment names; return False if it names none.

    A marked payment that can still be paid is canceled afterwards: its maker crashed. Raises
    RecordChanged, and what `find_moved` and a cancellation raise.
    """
    if intent.status in TAKEN:
        return False
    named = find_moved(context, record, (intent,), deadline)
    if named is None:
        return False
    after = adopted(context, record, named)
    if intent.payable:
        after = transitions.replaced(after, intent.id, context.clock())
    context.records.write(record, after)
    context.report("adopted", after, status=named.intent.status)
    if intent.payable:
        cancel_and_check(context.gateway_of(record), intent, "duplicate", deadline)
    return True
