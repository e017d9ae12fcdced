"""Record the refunds and disputes that the gateway shows, and tell the shop of each change once.

Pure functions (rule 30). Requests, webhooks, the status and the reconciler all record through
them, so the order in which they look does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import asdict, replace

from payment_service.gateways.dispute import Dispute
from payment_service.gateways.refund import WITHOUT_EFFECT, Refund, refunded_in_all
from payment_service.key_store.contract import Order
from payment_service.payments.record.money import (
    MAX_DISPUTES,
    MAX_OTHER_REFUNDS,
    DisputeEntry,
    RefundEntry,
)
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.shop_events.catalogue import (
    DISPUTE_CLOSED,
    DISPUTED,
    REFUND_FAILED,
    REFUNDED,
    EventKind,
    order_facts,
    with_queued_event,
)

Listened = Callable[[Order], bool]


def shown(
    refunds: Iterable[Refund], order: Order, refund_id: str, entry: RefundEntry | None
) -> list[Refund]:
    """Return the refunds that carry the caller's refund_id, oldest first.

    The gateway's id counts too: metadata can be edited in the dashboard.
    """
    known = entry.id if entry else None
    found = [each for each in refunds if each.is_of(order, refund_id) or each.id == known]
    return sorted(found, key=lambda each: (each.created, each.id))


def left_of(
    received: int, refunds: Sequence[Refund], entries: Iterable[RefundEntry], order: Order
) -> int:
    """Return the amount that can still be refunded (rule 26).

    A refund that may yet appear counts as if it had: its entry is pending, or made but not listed.
    """
    ids = {each.id for each in refunds}
    unseen = (
        each.amount
        for each in entries
        if (each.state == "pending" or (each.state == "made" and each.status not in WITHOUT_EFFECT))
        and each.id not in ids
        and not (each.refund_id and shown(refunds, order, each.refund_id, each))
    )
    return received - refunded_in_all(list(refunds)) - sum(unseen)


def entry_of(record: OrderRecord, refund_id: str) -> RefundEntry | None:
    """Return the entry of a caller's refund, or None."""
    entries = record.follow_up.refunds
    return next((each for each in entries if each.refund_id == refund_id), None)


def with_entry(record: OrderRecord, entry: RefundEntry) -> OrderRecord:
    """Return the record with this entry, in the place of the one with the same refund_id."""
    others = record.follow_up.refunds
    if entry_of(record, str(entry.refund_id)) is None:
        return record.with_follow_up(refunds=(*others, entry))
    refunds = tuple(entry if each.refund_id == entry.refund_id else each for each in others)
    return record.with_follow_up(refunds=refunds)


def with_refunds(
    record: OrderRecord, refunds: Sequence[Refund], now: float, listened: Listened
) -> OrderRecord:
    """Return the record with everything that a complete list of its refunds shows.

    The caller sets the version. An entry that the list does not show stays as it is.
    """
    record = record.with_follow_up(refunded=refunded_in_all(list(refunds)))
    for refund in sorted(refunds, key=lambda each: (each.created, each.id)):
        record = with_refund(record, refund, now, listened)
    return record


def with_refund(record: OrderRecord, refund: Refund, now: float, listened: Listened) -> OrderRecord:
    """Return the record with one refund as the gateway shows it, and the event it calls for.

    Beyond MAX_OTHER_REFUNDS, a refund made elsewhere counts in the total only.
    """
    entries = list(record.follow_up.refunds)
    place = _place_of(entries, record.order, refund)
    if place is None:
        new = _new(record, refund)
        others = sum(each.refund_id is None for each in entries)
        if new.refund_id is None and others >= MAX_OTHER_REFUNDS:
            return record
        entries.append(new)
        place = len(entries) - 1
    entries[place] = _made(entries[place], refund, now)
    record = record.with_follow_up(refunds=tuple(entries))
    return _with_refund_event(record, place, refund, now, listened)


def with_disputes(
    record: OrderRecord, disputes: Iterable[Dispute], now: float, listened: Listened
) -> OrderRecord:
    """Return the record with the disputes as the gateway shows them, and their events."""
    for dispute in sorted(disputes, key=lambda each: (each.created, each.id)):
        record = _with_dispute(record, dispute, now, listened)
    return record


def doubled(refunds: Iterable[Refund], order: Order) -> list[str]:
    """Return the refund_ids under which the gateway shows more than one refund with effect."""
    seen: list[str] = []
    for each in refunds:
        refund_id = each.metadata.get("refund_id")
        if refund_id is not None and each.counts and each.is_of(order, refund_id):
            seen.append(refund_id)
    return sorted({each for each in seen if seen.count(each) > 1})


def _place_of(entries: Sequence[RefundEntry], order: Order, refund: Refund) -> int | None:
    by_id = (n for n, each in enumerate(entries) if each.id == refund.id)
    by_name = (
        n
        for n, each in enumerate(entries)
        if each.id is None and each.refund_id and refund.is_of(order, each.refund_id)
    )
    return next(by_id, next(by_name, None))


def _new(record: OrderRecord, refund: Refund) -> RefundEntry:
    """Return the entry of a refund that the record does not have.

    With a refund_id in its metadata it is a caller's, whose entry the store lost.
    """
    refund_id = refund.metadata.get("refund_id")
    named = refund_id is not None and refund.is_of(record.order, refund_id)
    lost = named and refund_id is not None and entry_of(record, refund_id) is None
    return RefundEntry(
        refund_id if lost else None,
        refund.amount,
        float(refund.created),
        intent_id=refund.intent_id,
        is_double=named and not lost and refund.counts,
    )


def _made(entry: RefundEntry, refund: Refund, now: float) -> RefundEntry:
    if (entry.state, entry.id, entry.status) == ("made", refund.id, refund.status):
        return entry
    return replace(
        entry,
        state="made",
        id=refund.id,
        amount=refund.amount,
        status=refund.status,
        at=float(refund.created),
        updated_at=round(now, 3),
        sent=None,
        spent=False,
        owner="",
        until=0.0,
        first_sent_at=0.0,
        sent_until=0.0,
    )


def _with_refund_event(
    record: OrderRecord, place: int, refund: Refund, now: float, listened: Listened
) -> OrderRecord:
    entry = record.follow_up.refunds[place]
    kind = _refund_event(refund)
    if kind is None or kind.type in entry.told or not listened(record.order):
        return record
    entries = list(record.follow_up.refunds)
    entries[place] = replace(entry, told=(*entry.told, kind.type))
    record = record.with_follow_up(refunds=tuple(entries))
    facts = {
        **order_facts(record),
        "refund_id": entry.refund_id,
        "stripe_refund_id": refund.id,
        "refund_amount": refund.amount,
        "refund_status": refund.status,
        "failure_reason": refund.failure_reason,
    }
    return with_queued_event(record, kind, facts, now)


def _refund_event(refund: Refund) -> EventKind | None:
    if refund.status == "succeeded":
        return EventKind(REFUNDED, f"refunded:{refund.id}")
    if refund.status in WITHOUT_EFFECT:
        return EventKind(REFUND_FAILED, f"refund_failed:{refund.id}")
    return None


def _with_dispute(
    record: OrderRecord, dispute: Dispute, now: float, listened: Listened
) -> OrderRecord:
    known = {each.id: each for each in record.follow_up.disputes}
    if dispute.id not in known and len(known) >= MAX_DISPUTES:
        return record
    told = known[dispute.id].told if dispute.id in known else ()
    kind, name = _dispute_event(dispute)
    tells = name not in told and listened(record.order)
    entry = DisputeEntry(
        id=dispute.id,
        amount=dispute.amount,
        status=dispute.status,
        reason=dispute.reason,
        created=dispute.created,
        respond_by=dispute.respond_by,
        is_inquiry=dispute.is_inquiry,
        is_open=dispute.is_open,
        told=(*told, name) if tells else told,
    )
    known[dispute.id] = entry
    record = record.with_follow_up(disputes=tuple(known.values()))
    if not tells:
        return record
    facts = {name: value for name, value in asdict(entry).items() if name not in ("id", "told")}
    named = {f"dispute_{name}": value for name, value in facts.items()}
    return with_queued_event(
        record, kind, {**order_facts(record), "dispute_id": dispute.id, **named}, now
    )


def _dispute_event(dispute: Dispute) -> tuple[EventKind, str]:
    """Return the event of a dispute's state, and its name among those of this dispute.

    The shop hears again of an inquiry that becomes a dispute: only now Stripe withdraws the money.
    """
    if not dispute.is_open:
        return EventKind(DISPUTE_CLOSED, f"dispute_closed:{dispute.id}"), "closed"
    name = "inquiry" if dispute.is_inquiry else "dispute"
    return EventKind(DISPUTED, f"{name}:{dispute.id}"), name
