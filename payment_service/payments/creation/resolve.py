"""Settle an order whose outcome is unknown, without waiting for a client's request."""

from __future__ import annotations

from contextlib import suppress

from payment_service.errors import Misconfigured, Refused
from payment_service.gateways.deadline import Deadline
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.context import Context
from payment_service.payments.creation.attempt import Attempt
from payment_service.payments.creation.gated_attempt import GatedAttempt
from payment_service.payments.creation.owned_record import raise_if_ours
from payment_service.payments.creation.states import AttemptOver, AttemptUnknown, Claimed
from payment_service.payments.gated.complete import check_paid_before
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.record.transitions import Wanted


def is_unknown(record: KeyRecord | OrderRecord, now: float) -> bool:
    """Whether no process holds the order's lease and the outcome of its last send is unknown."""
    return record.state == "pending" and not transitions.is_held(record, now)


def check_served(context: Context, order: Order) -> None:
    """Raise Misconfigured for an order whose account is not configured here.

    In another account the order's key would create another PaymentIntent. The service would
    record it, and the order's client could not reach it.
    """
    if not context.serves(order):
        raise Misconfigured(
            "This order's client is not in CLIENTS_FILE, so its account is not known."
        )


def resolve(context: Context, record: OrderRecord, deadline: Deadline) -> OrderRecord | None:
    """Resolve an unknown order as its next request would, and return the resulting record.

    Take the lease, then send the same key and params or look up (rules 2 to 5). If the attempt
    created nothing, close it. The next request begins another attempt; this function does not,
    because no client is waiting. Nor does it pass the order over to another gateway. An attempt at
    a gated gateway is closed unless that shows an approval or a capture. Raises PaymentError if the
    gateway gave no clear answer or must not be called for this order.
    """
    check_served(context, record.order)
    if record.follow_up.paid_before:
        with suppress(RecordChanged):
            check_paid_before(context, record, deadline.earlier(context.timing.store))
        return context.records.read(record.order)
    if context.gated_of(record) is not None:
        _resolve_gated(context, record, deadline)
        return context.records.read(record.order)
    # Before the claim, so that a record whose gateway is not configured here stays unchanged.
    context.gateway_of(record)
    mine = transitions.taken_over(record, context.lease())
    leased_at = deadline.monotonic()
    if not context.records.replace(record, mine):
        return context.records.read(record.order)
    wanted = Wanted(record.order, record.fingerprint, record.sent)
    sent_until = transitions.sends_ended_at(record, context.timing.lock)
    claimed = Claimed(mine, inherited=True, leased_at=leased_at, sent_until=sent_until)
    gateway_deadline = deadline.earlier(context.timing.store)
    attempt = Attempt(context, wanted, claimed, gateway_deadline)
    with suppress(Refused):
        end = attempt.carry_out()
        if isinstance(end, AttemptUnknown):
            raise_if_ours(context, wanted, end, gateway_deadline)
        if isinstance(end, AttemptOver):
            _close(context, end.record, in_doubt=True)
    return context.records.read(record.order)


def _resolve_gated(context: Context, record: OrderRecord, deadline: Deadline) -> None:
    """Close an attempt of which no client has the link (rule 14).

    A store that went back may have lost that a shopper has paid it, so its key is sent first.
    """
    mine, leased_at = transitions.taken_over(record, context.lease()), deadline.monotonic()
    if not context.records.replace(record, mine):
        return
    wanted = Wanted(record.order, record.fingerprint, record.sent)
    claimed = Claimed(mine, inherited=True, leased_at=leased_at, leaving=True)
    deadline = deadline.earlier(context.timing.store)
    end = GatedAttempt(context, wanted, claimed, deadline).carry_out()
    if isinstance(end, AttemptUnknown):
        raise_if_ours(context, wanted, end, deadline)
    if isinstance(end, AttemptOver):
        _close(context, end.record)


def _close(context: Context, record: OrderRecord, *, in_doubt: bool = False) -> None:
    now = context.clock()
    over = transitions.rejected(record, "nothing_made", now, in_doubt=in_doubt)
    context.records.replace(record, over)
