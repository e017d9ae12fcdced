"""Overdue work of all orders, and the totals of a period, for the person on call."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct, field

from payment_service.key_store.contract import Order
from payment_service.payments.changes.details import OpenItem, open_items
from payment_service.payments.changes.listing import ListedOrder, OrderFilter, all_orders
from payment_service.payments.context import Context
from payment_service.payments.record.order_record import OrderRecord

# A background job that works takes up what is due within seconds.
LATE_SECONDS = 300.0


class Overdue(Struct, frozen=True):
    """An order with something that should have been done, and what is open of it."""

    record: OrderRecord
    open: tuple[OpenItem, ...]


def overdue(context: Context, of: Callable[[Order], bool], limit: int) -> list[Overdue]:
    """Return at most `limit` orders with an overdue event or look-up. Raises StoreUnavailable."""
    now = context.clock()
    due = context.records.due(now - LATE_SECONDS, limit, of, lambda _: True)
    return [Overdue(each, tuple(open_items(each, now))) for each in due]


class Totals(Struct):
    """The orders that were created in a period: their number by status, and their money now.

    Amounts are by currency, in its smallest unit. `complete`: whether the time sufficed for all
    orders; if not, the newest are counted.
    """

    since: float
    until: float
    orders: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    refunded: dict[str, int] = field(default_factory=dict)
    alarms: int = 0
    complete: bool = True

    def add(self, listed: ListedOrder) -> None:
        """Count a listed order, if it was created in the period."""
        order = listed.status
        if not self.since <= order.created_at < self.until:
            return
        self.orders += 1
        self.alarms += bool(listed.alarms)
        _add(self.statuses, order.status, 1)
        _add(self.received, order.currency, order.amount_received)
        _add(self.refunded, order.currency, order.amount_refunded)


def totals_of(
    context: Context,
    wanted: OrderFilter,
    until: float,
    *,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Totals:
    """Add up the orders that were created from `wanted.since` until before `until`.

    Stops after `seconds`. Raises StoreUnavailable.
    """
    totals, end = Totals(wanted.since or 0.0, until), monotonic() + seconds
    # An order that was created in the period has changed since the period began.
    for order in all_orders(context, wanted):
        if monotonic() > end:
            totals.complete = False
            break
        totals.add(order)
    return totals


def _add(sums: dict[str, int], name: str | None, amount: int) -> None:
    if amount and name is not None:
        sums[name] = sums.get(name, 0) + amount
