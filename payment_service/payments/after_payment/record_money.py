"""Write the money that the gateway shows into an order's record, and report what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import Misconfigured
from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.dispute import Dispute
from payment_service.gateways.intent import CANCELED, REQUIRES_CAPTURE, SUCCEEDED, Intent
from payment_service.gateways.refund import WITHOUT_EFFECT, Refund
from payment_service.payments.after_payment.sightings import doubled, with_disputes, with_refunds
from payment_service.payments.context import Context
from payment_service.payments.observer import What
from payment_service.payments.record import transitions
from payment_service.payments.record.money import CaptureEntry, EntryState
from payment_service.payments.record.order_record import OrderRecord


class Money(Struct, frozen=True):
    """The money of a payment as the gateway shows it. None: the caller did not fetch that part."""

    refunds: Sequence[Refund] | None = None
    disputes: Sequence[Dispute] | None = None
    capture_before: int | None = None


def ended(entry: CaptureEntry, intent: Intent) -> CaptureEntry:
    """Return an entry whose PaymentIntent is captured, or can no longer be."""
    state: EntryState = "made" if intent.status == SUCCEEDED else "rejected"
    return replace(entry, state=state, sent=None, owner="", until=0.0)


def fetch_money(
    context: Context,
    record: OrderRecord,
    intent: Intent,
    deadline: Deadline,
    *,
    disputes: bool = True,
) -> Money:
    """Fetch what the status of a PaymentIntent calls for.

    Read the record first: its write fails if it changed while the gateway answered. Raises
    PaymentError.
    """
    if intent.status == REQUIRES_CAPTURE and context.gated_of(record) is None:
        gateway = context.gateway_of(record)
        return Money(capture_before=fetch_capture_before(gateway, intent, deadline))
    if intent.status == SUCCEEDED:
        money = context.money_of(record)
        return Money(
            money.list_refunds(intent.id, deadline),
            money.list_disputes(intent.id, deadline) if disputes else None,
        )
    return Money()


def fetch_capture_before(gateway: Gateway, intent: Intent, deadline: Deadline) -> int | None:
    """Return when an authorization lapses, Unix seconds; None if the gateway does not tell.

    The key may lack the permission to read charges, and the payment itself matters more. Raises
    any other PaymentError.
    """
    try:
        charge = gateway.charge(intent, deadline)
    except Misconfigured:
        return None
    return charge.capture_before if charge else None


def with_money(context: Context, record: OrderRecord, intent: Intent, money: Money) -> OrderRecord:
    """Return the record with the money and all order events; the caller sets the version."""
    now = context.clock()
    if record.follow_up.capture_before != money.capture_before:
        record = record.with_follow_up(capture_before=money.capture_before)
    record = context.with_shop_event(_with_capture(record, intent), intent)
    after = record
    if money.refunds is not None:
        after = with_refunds(after, money.refunds, now, context.listened)
    if money.disputes is not None:
        after = with_disputes(after, money.disputes, now, context.listened)
    return context.naming_gateway(record, after)


def _with_capture(record: OrderRecord, intent: Intent) -> OrderRecord:
    """Return the record with its capture ended, if the PaymentIntent shows the end."""
    entry = record.follow_up.capture
    over = intent.status in (SUCCEEDED, CANCELED)
    if entry is None or entry.state != "pending" or entry.intent_id != intent.id or not over:
        return record
    return record.with_follow_up(capture=ended(entry, intent))


def shows_more(context: Context, record: OrderRecord, intent: Intent, money: Money) -> bool:
    """Whether the gateway shows money that the record lacks."""
    return with_money(context, record, intent, money).follow_up != record.follow_up


def write_money(
    context: Context,
    record: OrderRecord,
    intent: Intent,
    money: Money,
    what: str,
    **changes: Any,
) -> None:
    """Record the PaymentIntent and its money in one write, with `changes` of the follow-up.

    Raises RecordChanged.
    """
    seen = transitions.seen(record, intent, context.clock(), what)
    after = with_money(context, seen.with_follow_up(**changes), intent, money)
    context.records.write(record, after)
    for observed, facts in _news(record, after):
        context.report(observed, record, **facts)
    report_doubled(context, record, money.refunds or ())


def report_doubled(context: Context, record: OrderRecord, refunds: Sequence[Refund]) -> None:
    """Raise the alarm for a refund that was made more than once."""
    for refund_id in doubled(refunds, record.order):
        context.report("refunded_twice", record, refund_id=refund_id)


def _news(before: OrderRecord, after: OrderRecord) -> Iterator[tuple[What, dict[str, Any]]]:
    statuses = {each.id: each.status for each in before.follow_up.refunds}
    for refund in after.follow_up.refunds:
        failed = refund.status in WITHOUT_EFFECT and refund.status != statuses.get(refund.id)
        if failed:
            yield "refund_failed", {"refund_id": refund.refund_id, "refund": refund.id}
    was_open = {each.id: each.is_open for each in before.follow_up.disputes}
    for dispute in after.follow_up.disputes:
        facts = {"dispute": dispute.id, "reason": dispute.reason, "status": dispute.status}
        if dispute.is_open and dispute.id not in was_open:
            yield "dispute_opened", facts
        elif not dispute.is_open and was_open.get(dispute.id, True):
            yield "dispute_closed", facts
