"""The orders as `orders list` selects and prints them."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from payment_service.cli.opening import iso
from payment_service.payments.changes.status import OrderStatus
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.strays import STRAY_PAID, TWO_PAID

if TYPE_CHECKING:
    from payment_service.key_store.contract import KeyRecord, State
    from payment_service.payments.changes.orders import Orders

UNKNOWN = "unknown"

# Each status, and the state of its records.
STATES: dict[str, State] = {
    "in_flight": "pending",
    UNKNOWN: "pending",
    "rejected": "rejected",
    "requires_payment_method": "created",
    "requires_confirmation": "created",
    "requires_action": "created",
    "processing": "created",
    "requires_capture": "created",
    "succeeded": "created",
    "canceled": "created",
}

# Entries of an order's history that a person must look at, and their alarms.
HISTORY_ALARMS = {TWO_PAID: TWO_PAID, "adopted, paid": STRAY_PAID}

# The fields of a status that are instants, and those whose parts have instants.
_TIMES = ("created_at", "updated_at", "capture_before", "respond_by")
_WITH_TIMES = ("refunds", "disputes")

COLUMNS = ("updated", "status", "order", "client", "amount", "PaymentIntent", "alarms")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter of the list. Empty and None mean any; instants are in Unix seconds."""

    statuses: frozenset[str] = frozenset()
    client_id: str | None = None
    since: float | None = None
    until: float | None = None
    alarms: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """An order of the list, and the names of its alarms."""

    status: OrderStatus
    alarms: tuple[str, ...]

    @property
    def updated_at(self) -> float:
        """When the order last changed, in Unix seconds."""
        return self.status.updated_at


def newest(orders: Orders, wanted: Wanted, limit: int) -> tuple[list[Listed], int]:
    """Return the orders that changed last, newest first, and how many match in all.

    Reads every record of the store and keeps `limit` of them. Raises StoreUnavailable.
    """
    count = 0

    def counted() -> Iterator[Listed]:
        nonlocal count
        for count, each in enumerate(_matching(orders, wanted), start=1):  # noqa: B007
            yield each

    found = heapq.nlargest(limit, counted(), key=attrgetter("updated_at"))
    return found, count


def _matching(orders: Orders, wanted: Wanted) -> Iterator[Listed]:
    states = {STATES[each] for each in wanted.statuses}
    state = states.pop() if len(states) == 1 else None

    def may_match(record: KeyRecord) -> bool:
        return record.order.livemode == orders.livemode and _may_be_wanted(record, wanted)

    # Parsing takes most of the time, so check first what needs none.
    for record in orders.context.records.scan(state, may_match):
        listed = Listed(orders.status_of(record), _alarms_of(record))
        by_status = not wanted.statuses or listed.status.status in wanted.statuses
        if by_status and (listed.alarms or not wanted.alarms):
            yield listed


def _may_be_wanted(record: KeyRecord, wanted: Wanted) -> bool:
    return (
        wanted.client_id in (None, record.order.client_id)
        and (wanted.since is None or record.updated_at >= wanted.since)
        and (wanted.until is None or record.updated_at < wanted.until)
    )


def _alarms_of(record: OrderRecord) -> tuple[str, ...]:
    kept = record.follow_up
    found = [HISTORY_ALARMS.get(each["what"]) for each in kept.history]
    parked = ["event_parked"] if any(event.parked for event in kept.queue) else []
    fenced = ["fenced"] if kept.fenced else []
    disputed = ["disputed"] if any(each.is_open for each in kept.disputes) else []
    return tuple(dict.fromkeys([each for each in found if each] + parked + fenced + disputed))


def as_json(status: OrderStatus) -> dict[str, Any]:
    """Return the status of an order in JSON types, with ISO times."""
    shown = status.shown()
    history = [{**each, "at": iso(each["at"])} for each in status.history]
    money = {name: [_with_iso_times(each) for each in shown[name]] for name in _WITH_TIMES}
    return {**_with_iso_times(shown), **money, "history": history}


def _with_iso_times(shown: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: iso(shown[name]) for name in _TIMES if shown.get(name) is not None}
    return {**shown, **times}


def json_line(listed: Listed) -> str:
    """Return an order as one line of JSON, without its history."""
    shown = as_json(listed.status)
    del shown["history"]
    return json.dumps({**shown, "alarms": listed.alarms}, ensure_ascii=False)


def table(found: Iterable[Listed]) -> str:
    """Return the orders as aligned columns under a heading."""
    rows = [COLUMNS, *(_row(each) for each in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(listed: Listed) -> tuple[str, ...]:
    status = listed.status
    return (
        iso(status.updated_at, "seconds"),
        status.status,
        status.order_id,
        status.client_id or "-",
        f"{status.amount} {status.currency}",
        status.payment_intent_id or "-",
        ", ".join(listed.alarms) or "-",
    )
