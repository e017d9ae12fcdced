"""The rules of a store's pages: which records a selection includes, and where each one stands."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter

from payment_service.key_store.contract import KeyRecord, KeyStore, Order, Position, Selection
from payment_service.key_store.order_key import order_key

# Alarms are few, and a page of one client's may skip many of the other clients'.
MIN_ALARMS = 200

# Records that a reader of a whole list takes at a time.
PAGE_RECORDS = 500

Fetch = Callable[[Position, int], Sequence[KeyRecord]]
"""Returns at most so many records below a position; fewer are the last ones."""


def position_of(record: KeyRecord) -> Position:
    """Return the record's place in a list."""
    return Position(record.updated_at, order_key(record.order).encode())


def includes(selection: Selection, record: KeyRecord) -> bool:
    """Whether the record belongs to the selection, whatever its place in the list."""
    return (
        record.order.livemode == selection.livemode
        and selection.client_id in (None, record.order.client_id)
        and record.listed_status in selection.statuses
        and (
            selection.alarm_by is None
            or (record.alarm_at is not None and record.alarm_at <= selection.alarm_by)
        )
        and lowest_of(selection) <= record.updated_at
        and position_of(record) < highest_of(selection, None)
    )


def lowest_of(selection: Selection) -> float:
    """Return the lowest `updated_at` of the selection."""
    return -math.inf if selection.updated_from is None else selection.updated_from


def highest_of(selection: Selection, before: Position | None) -> Position:
    """Return the position that all records of the page are below."""
    until = selection.updated_until
    end = Position(math.inf if until is None else until, b"")
    return end if before is None else min(end, before)


def page_of(
    selection: Selection, limit: int, before: Position | None, fetch: Fetch
) -> list[KeyRecord]:
    """Fetch until the page has `limit` records of the selection, or none are left."""
    at, found = highest_of(selection, before), list[KeyRecord]()
    most = limit if selection.alarm_by is None else max(limit, MIN_ALARMS)
    while len(found) < limit:
        fetched = fetch(at, most)
        found += [record for record in fetched if includes(selection, record)]
        if len(fetched) < most:
            break
        at = position_of(fetched[-1])
    return found[:limit]


def first_of(lists: Iterable[Iterable[KeyRecord]], limit: int) -> list[KeyRecord]:
    """Merge sorted lists; keep the first `limit` records, and one record of each order.

    An order is in two lists if it changed between the two reads.
    """
    placed = ([(position_of(record), record) for record in each] for each in lists)
    merged = heapq.merge(*placed, key=itemgetter(0), reverse=True)
    by_order: dict[Order, KeyRecord] = {}
    for _, record in merged:
        by_order.setdefault(record.order, record)
    return list(islice(by_order.values(), limit))


def all_of(store: KeyStore, selection: Selection) -> Iterator[KeyRecord]:
    """Yield every record of the selection, page by page. Raises StoreUnavailable."""
    before = None
    while page := store.page(selection, PAGE_RECORDS, before):
        yield from page
        before = position_of(page[-1])
