"""Requests about many orders at once, for the person on call."""

from __future__ import annotations

from msgspec import Struct

from payment_service.payments.request.create import OrderName
from payment_service.payments.request.order_list import Instant


class OverdueRequest(Struct, frozen=True, kw_only=True):
    """A request for the orders with something overdue, of one client or of all."""

    client_id: OrderName | None = None


class TotalsRequest(Struct, frozen=True, kw_only=True):
    """A request for the totals of the orders created from `since` until before `until`."""

    since: Instant
    until: Instant
    client_id: OrderName | None = None

    def __post_init__(self) -> None:
        """Check the period. Raises ValueError."""
        if self.until <= self.since:
            raise ValueError("until: must be after since")
