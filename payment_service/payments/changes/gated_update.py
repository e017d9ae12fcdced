"""Update an order at a gated gateway: another payment takes the place of the one given out.

A payment there is not changed, because its page may still show the old price. The next attempt
begins with the new price instead. Nothing is captured of a payment that no record names, so the old
one can be left as it is (rules 15 and 18).
"""

from __future__ import annotations

from payment_service.errors import BadRequest, NoLongerOpen
from payment_service.gateways.contract import GatedGateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, PROCESSING, TAKEN, Intent
from payment_service.gateways.payment_fields import Unsuited
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order
from payment_service.payments.changes.update_checks import (
    Updated,
    compare,
    is_applied,
    known_updates,
)
from payment_service.payments.context import Context
from payment_service.payments.creation.gated_attempt import GatedAttempt
from payment_service.payments.creation.owned_record import raise_if_ours
from payment_service.payments.creation.resolve import is_unknown
from payment_service.payments.creation.states import AttemptUnknown, Claimed, Created
from payment_service.payments.gated.complete import complete
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.record.transitions import LOST_FINGERPRINT, Wanted
from payment_service.payments.request.existing_order import UpdateRequest

# The fields that no payment at a gated gateway has.
NOT_KEPT = (
    "payment_method_types",
    "payment_method_options",
    "metadata",
    "receipt_email",
    "customer",
    "capture_method",
    "setup_future_usage",
    "statement_descriptor_suffix",
)


def update_gated(
    context: Context,
    gateway: GatedGateway,
    record: OrderRecord,
    request: UpdateRequest,
    deadline: Deadline,
) -> Updated:
    """Begin the next attempt with the update's price, and return its payment.

    The payment has another id. Raises BadRequest for what the gateway cannot keep, NoLongerOpen
    once the payment is approved, being captured or over, Changed, AlreadyPaid, RecordChanged, and
    the gateway's errors; the same update, sent again, continues then.
    """
    record, intent = complete(context, record, deadline, capture=False)
    _check_open(context, record, intent)
    if is_applied(request, record.follow_up, intent):
        return Updated(intent, record.follow_up.revision, replayed=True)
    compare(request, record, intent)
    sent = _params(gateway, record, request)
    return _begin(context, record, request, sent, deadline)


def resume_update(
    context: Context, order: Order, request: UpdateRequest, deadline: Deadline
) -> Updated | None:
    """Carry out the attempt that this very update began and whose answer was lost.

    Return None if there is no such attempt. No shopper has its page (rule 14), and its key makes
    one payment.
    """
    record = context.records.read(order)
    if record is None or not _is_lost(context, record, request):
        return None
    leased_at = deadline.monotonic()
    mine = transitions.taken_over(record, context.lease())
    context.records.write(record, mine)
    claimed = Claimed(mine, inherited=True, leased_at=leased_at)
    intent = _carry_out(context, claimed, deadline)
    return Updated(intent, record.follow_up.revision, replayed=True)


def _is_lost(context: Context, record: OrderRecord, request: UpdateRequest) -> bool:
    # A creation may have begun another attempt since, which has the creation's fingerprint.
    is_updates = record.fingerprint == LOST_FINGERPRINT
    ours = is_updates and record.follow_up.sent[-1:] == (request.without_revision,)
    is_gated = context.is_gated(record)
    lost = is_unknown(record, context.clock()) and not record.follow_up.paid_before
    return ours and is_gated and lost


def _check_open(context: Context, record: OrderRecord, intent: Intent) -> None:
    if intent.status in TAKEN or intent.status == CANCELED:
        raise NoLongerOpen(intent.status)
    if gated_transitions.is_in_doubt(record, context.clock()):
        raise NoLongerOpen(PROCESSING)


def _params(gateway: GatedGateway, record: OrderRecord, request: UpdateRequest) -> SentParams:
    """Return the parameters of the next attempt; absent fields keep their values."""
    name, params = gateway.facts.name, record.sent.params
    not_kept = [field for field in NOT_KEPT if getattr(request, field) is not None]
    if not_kept:
        raise BadRequest(
            f"{', '.join(not_kept)}: an order at {name} cannot have this; leave it out",
            param=not_kept[0],
        )
    try:
        return gateway.params_of(request.filled(params["currency"], params.get("description")))
    except Unsuited as unsuited:
        message = f"{unsuited.field}: an order at {name} cannot have this value"
        raise BadRequest(message, param=unsuited.field) from unsuited


def _begin(
    context: Context,
    record: OrderRecord,
    request: UpdateRequest,
    sent: SentParams,
    deadline: Deadline,
) -> Updated:
    """Write the next attempt over the payment, by one compare-and-set, and create its own."""
    leased_at, revision = deadline.monotonic(), record.follow_up.last_revision + 1
    wanted = Wanted(record.order, LOST_FINGERPRINT, sent)
    begun = gated_transitions.begun_by_update(record, wanted, context.lease(), revision)
    mine = begun.with_follow_up(sent=known_updates(request, record.follow_up))
    context.records.write(record, mine)
    claimed = Claimed(mine, inherited=False, leased_at=leased_at, begun=True)
    intent = _carry_out(context, claimed, deadline)
    context.report("updated", mine, revision=revision)
    return Updated(intent, revision, replayed=False)


def _carry_out(context: Context, claimed: Claimed, deadline: Deadline) -> Intent:
    record = claimed.record
    wanted = Wanted(record.order, record.fingerprint, record.sent)
    end = GatedAttempt(context, wanted, claimed, deadline).carry_out()
    if isinstance(end, Created):
        return end.intent
    if isinstance(end, AttemptUnknown):
        raise_if_ours(context, wanted, end, deadline)
    raise RecordChanged
