"""Lists of orders, the one that changed last first, read from the lists of the key store."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from payment_service.key_store.contract import LISTED_STATUSES, Position, Selection
from payment_service.key_store.listing import PAGE_RECORDS, position_of
from payment_service.payments.changes.status import OrderStatus, status_of
from payment_service.payments.context import Context
from payment_service.payments.record.alarms import alarms_of
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import to_stored
from payment_service.payments.request.order_list import (
    IN_FLIGHT,
    UNKNOWN,
    OrdersRequest,
    cursor_of,
)

PENDING = "pending"

# Pages of the store that one request reads to fill its own: then it answers with what it has.
MAX_READS = 10


class OrderFilter(Struct, frozen=True):
    """A filter of orders. Empty and None mean any; instants are in Unix seconds.

    `statuses` are those of OrderStatus. `until` is exclusive.
    """

    livemode: bool
    statuses: frozenset[str] = frozenset()
    client_id: str | None = None
    since: float | None = None
    until: float | None = None
    alarms: bool = False

    def selection(self, now: float) -> Selection:
        """Return the selection of the key store, which does not tell in flight from unknown."""
        states = {PENDING if each in (UNKNOWN, IN_FLIGHT) else each for each in self.statuses}
        listed = tuple(each for each in LISTED_STATUSES if not states or each in states)
        alarm_by = now if self.alarms else None
        return Selection(self.livemode, self.client_id, listed, alarm_by, self.since, self.until)

    @property
    def tells_pending_apart(self) -> bool:
        """Whether only one of in flight and unknown is wanted."""
        return (UNKNOWN in self.statuses) != (IN_FLIGHT in self.statuses)

    def includes(self, listed: ListedOrder) -> bool:
        """Whether an order of the selection has a wanted status."""
        return not self.statuses or listed.status.status in self.statuses


class ListedOrder(Struct, frozen=True):
    """An order of a list, and the names of its alarms."""

    status: OrderStatus
    alarms: tuple[str, ...]


class OrderPage(Struct, frozen=True):
    """A page of a list, and the cursor of the next one; None after the last page."""

    orders: tuple[ListedOrder, ...]
    next_cursor: str | None


def wanted_by(request: OrdersRequest, *, livemode: bool) -> OrderFilter:
    """Return the filter of a request."""
    status = UNKNOWN if request.unknown == "true" else request.status
    return OrderFilter(
        livemode,
        frozenset([status] if status else []),
        request.client_id,
        request.updated_from,
        request.updated_until,
        request.alarm == "true",
    )


def page_of_orders(
    context: Context, wanted: OrderFilter, limit: int, before: Position | None
) -> OrderPage:
    """Return the first `limit` orders below `before`.

    Of pending orders the page may have fewer although more follow: it reads at most MAX_READS pages
    of the store. Raises StoreUnavailable.
    """
    now, found = context.clock(), list[ListedOrder]()
    # One more tells whether another page follows.
    most = PAGE_RECORDS if wanted.tells_pending_apart else limit + 1
    for _ in range(MAX_READS):
        records = context.records.page(wanted.selection(now), most, before)
        for record in records:
            listed = _listed(context, record, now)
            if wanted.includes(listed):
                if len(found) == limit:
                    return OrderPage(tuple(found), _cursor(before))
                found.append(listed)
            before = _position(record)
        if len(records) < most:
            return OrderPage(tuple(found), None)
    return OrderPage(tuple(found), _cursor(before))


def all_orders(context: Context, wanted: OrderFilter) -> Iterator[ListedOrder]:
    """Yield all orders of the filter, page by page. Raises StoreUnavailable."""
    now, before = context.clock(), None
    while records := context.records.page(wanted.selection(now), PAGE_RECORDS, before):
        yield from filter(wanted.includes, (_listed(context, record, now) for record in records))
        before = _position(records[-1])


def _listed(context: Context, record: OrderRecord, now: float) -> ListedOrder:
    status = status_of(record, now, several_gateways=context.several_gateways)
    return ListedOrder(status, alarms_of(record, now))


def _position(record: OrderRecord) -> Position:
    return position_of(to_stored(record))


def _cursor(position: Position | None) -> str | None:
    return None if position is None else cursor_of(position)
