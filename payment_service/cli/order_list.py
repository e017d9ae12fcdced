"""The orders as `orders list` selects and prints them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

from payment_service.cli.opening import iso
from payment_service.payments.changes.listing import ListedOrder, OrderFilter, all_orders
from payment_service.payments.changes.status import OrderStatus
from payment_service.payments.request.order_list import Status

if TYPE_CHECKING:
    from payment_service.payments.changes.orders import Orders

STATUSES = get_args(Status)

# The fields of a status that are instants, and those whose parts have instants.
_TIMES = ("created_at", "updated_at", "capture_before", "respond_by")
_WITH_TIMES = ("refunds", "disputes")

COLUMNS = ("updated", "status", "order", "client", "amount", "PaymentIntent", "alarms")


def newest(orders: Orders, wanted: OrderFilter, limit: int) -> tuple[list[ListedOrder], bool]:
    """Return the orders that changed last, newest first, and whether more match.

    Raises StoreUnavailable.
    """
    found = list(islice(all_orders(orders.context, wanted), limit + 1))
    return found[:limit], len(found) > limit


def as_json(status: OrderStatus) -> dict[str, Any]:
    """Return the status of an order in JSON types, with ISO times."""
    shown = status.shown()
    history = [{**each, "at": iso(each["at"])} for each in status.history]
    money = {name: [_with_iso_times(each) for each in shown[name]] for name in _WITH_TIMES}
    return {**_with_iso_times(shown), **money, "history": history}


def _with_iso_times(shown: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: iso(shown[name]) for name in _TIMES if shown.get(name) is not None}
    return {**shown, **times}


def json_line(listed: ListedOrder) -> str:
    """Return an order as one line of JSON, without its history."""
    shown = as_json(listed.status)
    del shown["history"]
    return json.dumps({**shown, "alarms": listed.alarms}, ensure_ascii=False)


def table(found: Iterable[ListedOrder]) -> str:
    """Return the orders as aligned columns under a heading."""
    rows = [COLUMNS, *(_row(each) for each in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(listed: ListedOrder) -> tuple[str, ...]:
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
