"""Cancel the payment of an order at a gated gateway: a write to our own record (rule 15)."""

from __future__ import annotations

from payment_service.errors import AlreadyPaid, NoLongerOpen, NotFound, PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, PROCESSING, SUCCEEDED, Intent
from payment_service.key_store.contract import Order
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import last_known
from payment_service.payments.gated.complete import complete
from payment_service.payments.gated.shop_events import with_event
from payment_service.payments.record import gated_transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged, retry_on_race

# How long the gateway may take. No answer is necessary, because an approval moves no money, but it
# may show a capture that the store has lost.
ASK_SECONDS = 3.0


def cancel_gated(context: Context, order: Order, deadline: Deadline) -> Intent:
    """Return the canceled payment; a second call changes nothing, and nothing is captured.

    Raises NoLongerOpen once it is paid or a capture may move money (rule 18), and AlreadyPaid.
    """
    return retry_on_race(lambda: _cancel(context, order, deadline))


def _cancel(context: Context, order: Order, deadline: Deadline) -> Intent:
    record = context.records.read(order)
    if record is None or record.state != "created":
        raise NotFound("There is no payment of this order.")
    if not context.gated_of(record):
        # A payment at another gateway was adopted meanwhile: the next request cancels that one.
        raise RecordChanged
    record = _asked(context, record, deadline)
    _check_open(record, context.clock())
    known = last_known(record)
    if record.payment_status == CANCELED:
        return known
    after = gated_transitions.canceled(record, context.clock())
    canceled = last_known(after)
    context.records.write(record, with_event(context, after, canceled))
    context.report("canceled", after)
    return canceled


def _asked(context: Context, record: OrderRecord, deadline: Deadline) -> OrderRecord:
    """Return the record with what the gateway shows, if it answers."""
    try:
        after, _ = complete(context, record, deadline.at_most(ASK_SECONDS), capture=False)
    except (RecordChanged, AlreadyPaid):
        raise
    except PaymentError:
        return record
    return after


def _check_open(record: OrderRecord, now: float) -> None:
    if record.payment_status == SUCCEEDED:
        raise NoLongerOpen(SUCCEEDED)
    if record.payment_status == PROCESSING or gated_transitions.is_in_doubt(record, now):
        raise NoLongerOpen(PROCESSING)
