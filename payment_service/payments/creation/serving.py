"""The recorded payment, as a repeated request is served with it."""

from __future__ import annotations

from payment_service.errors import GatewayNotAccepted, PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import TAKEN, Intent
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.creation import switching
from payment_service.payments.creation.recorded_intent import fetch_recorded, with_fetched
from payment_service.payments.gated.complete import complete_with_link
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.record.transitions import Wanted


def current(
    context: Context, wanted: Wanted, record: OrderRecord, deadline: Deadline
) -> tuple[OrderRecord, Intent]:
    """Fetch the recorded payment; capture what the shopper has approved at a gated gateway.

    A request that does not accept the gateway captures nothing, and neither does one that names
    another price. Raises GatewayNotAccepted if such a gateway does not answer, RecordChanged, and
    the PaymentErrors of a retrieval and of a completion.
    """
    accepted = switching.accepts(context, wanted, record.sent.gateway)
    try:
        if not context.is_gated(record):
            return record, fetch_recorded(context, record, deadline)
        ours, theirs = wanted.sent.params, record.sent.params
        same = all(ours[name] == theirs[name] for name in ("amount", "currency"))
        return complete_with_link(context, record, deadline, capture=accepted and same)
    except PaymentError as failed:
        if accepted or isinstance(failed, RecordChanged):
            raise
        raise GatewayNotAccepted(record.sent.gateway) from failed


def is_of_another_price(
    context: Context, wanted: Wanted, record: OrderRecord, intent: Intent
) -> bool:
    """Whether the shopper would pay another amount than the request names, or at another time.

    Never once the payment is taken: the shopper pays nothing more then. An approval at a gated
    gateway is not taken yet.
    """
    if record.fingerprint == transitions.LOST_FINGERPRINT:
        taken = gated_transitions.PAID if context.is_gated(record) else TAKEN
        return intent.status not in taken and not intent.fits(wanted.sent.params)
    return intent.asks_otherwise(wanted.sent.params)


def note(context: Context, record: OrderRecord, intent: Intent) -> None:
    """Record the status seen at Stripe; the answer does not depend on this write."""
    try:
        context.records.replace(record, with_fetched(context, record, intent))
    except StoreUnavailable:
        context.report("unrecorded", record, status=intent.status)
