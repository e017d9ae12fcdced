"""What is left to do in the store, and the totals of a period: for the person on call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payment_service.key_store.contract import Order
from payment_service.payments.changes.details import OpenItem, open_items
from payment_service.payments.context import Context
from payment_service.payments.record.order_record import OrderRecord

# A background job that works takes up what is due within seconds.
LATE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Overdue:
    """An order with something that should have been done, and what is open of it."""

    record: OrderRecord
    open: tuple[OpenItem, ...]


def overdue(context: Context, of: Callable[[Order], bool], limit: int) -> list[Overdue]:
    """Return at most `limit` orders with an overdue event or look-up. Raises StoreUnavailable."""
    now = context.clock()
    due = context.records.due(now - LATE_SECONDS, limit, of, lambda _: True)
    return [Overdue(each, tuple(open_items(each, now))) for each in due]


@dataclass(slots=True)
class Totals:
    """The orders that were created in a period: their number by status, and their money now.

    Amounts are by currency, in its smallest unit. `complete`: whether the time sufficed for all
    orders; if not, the newest are counted.
    """

    since: float
    until: float
    orders: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    refunded: Counter[str] = field(default_factory=Counter)
    alarms: int = 0
    complete: bool = True

    def add(self, order: Mapping[str, Any]) -> None:
        """Count a listed order, if it was created in the period."""
        if not self.since <= order["created_at"] < self.until:
            return
        self.orders += 1
        self.statuses[order["status"]] += 1
        self.alarms += bool(order["alarms"])
        for name in ("received", "refunded"):
            if order[f"amount_{name}"]:
                getattr(self, name)[order["currency"]] += order[f"amount_{name}"]


def totals_of(
    changed: Iterable[Mapping[str, Any]],
    since: float,
    until: float,
    *,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Totals:
    """Add up the orders of a period. `changed`: those that changed since then, newest first.

    Stops after `seconds`. Raises what the iteration raises.
    """
    totals, end = Totals(since, until), monotonic() + seconds
    for order in changed:
        if monotonic() > end:
            totals.complete = False
            break
        totals.add(order)
    return totals
