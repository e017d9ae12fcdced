"""What the operator's API shows of an order, of lists of orders, and of a day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from payment_service.cli.order_list import Wanted, _alarms_of, _matching
from payment_service.errors import Misconfigured, StoreDown
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.stripe.dashboard import payment_url
from payment_service.gateways.stripe.facts import STRIPE
from payment_service.key_store.contract import Order, StoreUnavailable
from payment_service.payments.changes.details import details_of
from payment_service.payments.changes.orders import Orders
from payment_service.payments.changes.status import status_of
from payment_service.payments.context import Context
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.overview import overdue, totals_of
from payment_service.payments.request.existing_order import OrderRequest
from payment_service.payments.request.overview import TotalsRequest

# Overdue work is rare; a long list of it is an outage, and the alerts tell of it.
MAX_OVERDUE = 100

# A day with so many orders that this does not suffice is counted in part, and the answer says so.
TOTALS_SECONDS = 5.0


def show_order(orders: Orders, wanted: OrderRequest) -> dict[str, Any]:
    """Return the order's status and history, and what an operator needs to decide.

    Raises NotFound, StoreDown.
    """
    record, now = orders.record(wanted), orders.context.clock()
    details = details_of(record, now, _facts(orders.context, record))
    return {
        **asdict(status_of(record, now)),
        "alarms": _alarms_of(record),
        **asdict(details),
        "dashboard_url": _dashboard_url(record),
    }


def list_orders(orders: Orders, query: Mapping[str, str]) -> dict[str, Any]:
    """STUB until branch `orders` is merged."""
    statuses = {query["status"]} if query.get("status") else set()
    if query.get("unknown") == "true":
        statuses = {"unknown"}
    since = float(query["updated_from"]) if query.get("updated_from") else None
    wanted = Wanted(
        frozenset(statuses), query.get("client_id"), since, None, query.get("alarm") == "true"
    )
    found = sorted(_matching(orders, wanted), key=lambda each: -each.updated_at)
    return {
        "orders": [_row(asdict(each.status), each.alarms) for each in found],
        "next_cursor": None,
    }


def _row(status: dict[str, Any], alarms: tuple[str, ...]) -> dict[str, Any]:
    del status["history"]
    return {**status, "alarms": alarms}


def show_overdue(orders: Orders, client_id: str | None) -> list[dict[str, Any]]:
    """Return the orders with an overdue order event or look-up. `client_id`: None for all."""
    context, now = orders.context, orders.context.clock()

    def of(order: Order) -> bool:
        return order.livemode == orders.livemode and client_id in (None, order.client_id)

    try:
        found = overdue(context, of, MAX_OVERDUE)
    except StoreUnavailable as down:
        raise StoreDown("The key store does not answer.") from down
    return [
        {
            **_row(asdict(status_of(each.record, now)), _alarms_of(each.record)),
            "open": each.open,
        }
        for each in found
    ]


def show_totals(orders: Orders, wanted: TotalsRequest) -> dict[str, Any]:
    """Return the totals of a period."""
    changed = _walk(orders, wanted.since, wanted.client_id)
    return asdict(totals_of(changed, wanted.since, wanted.until, seconds=TOTALS_SECONDS))


def _walk(orders: Orders, since: float, client_id: str | None) -> Iterator[Mapping[str, Any]]:
    query = {"updated_from": str(int(since)), "limit": "100"}
    if client_id is not None:
        query["client_id"] = client_id
    while True:
        page = list_orders(orders, query)
        yield from page["orders"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def _facts(context: Context, record: OrderRecord) -> GatewayFacts | None:
    try:
        return context.gateway_of(record).facts
    except Misconfigured:
        return None


def _dashboard_url(record: OrderRecord) -> str | None:
    if record.payment_intent_id is None or record.sent.gateway != STRIPE.name:
        return None
    return payment_url(record.payment_intent_id, livemode=record.order.livemode)
