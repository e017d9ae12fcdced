"""The JSON of the operator's API: an order, overdue orders, and the totals of a period."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec.structs import asdict

from payment_service.errors import Misconfigured
from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.stripe.dashboard import payment_url
from payment_service.gateways.stripe.facts import STRIPE
from payment_service.key_store.contract import Order
from payment_service.payments.changes.details import details_of
from payment_service.payments.changes.listing import ListedOrder, OrderFilter
from payment_service.payments.changes.orders import Orders
from payment_service.payments.context import Context
from payment_service.payments.record.alarms import alarms_of
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.overview import overdue, totals_of
from payment_service.payments.request.existing_order import OrderRequest
from payment_service.payments.request.overview import TotalsRequest
from payment_service.payments.store_errors import store_errors
from payment_service.web.orders_list_routes import show_listed

T = TypeVar("T")

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
        **orders.status_of(record).shown(),
        "alarms": alarms_of(record, now),
        **asdict(details),
        "dashboard_url": _dashboard_url(record),
    }


def show_overdue(orders: Orders, client_id: str | None) -> list[dict[str, Any]]:
    """Return the orders with an overdue order event or look-up. `client_id`: None for all.

    Raises StoreDown.
    """
    context, now = orders.context, orders.context.clock()

    def of(order: Order) -> bool:
        return order.livemode == orders.livemode and client_id in (None, order.client_id)

    with store_errors():
        found = overdue(context, of, MAX_OVERDUE)
    return [
        {
            **show_listed(ListedOrder(orders.status_of(each.record), alarms_of(each.record, now))),
            "open": each.open,
        }
        for each in found
    ]


def show_totals(orders: Orders, request: TotalsRequest) -> dict[str, Any]:
    """Return the totals of a period. Raises StoreDown."""
    wanted = OrderFilter(orders.livemode, client_id=request.client_id, since=request.since)
    with store_errors():
        return asdict(totals_of(orders.context, wanted, request.until, seconds=TOTALS_SECONDS))


def _facts(context: Context, record: OrderRecord) -> GatewayFacts | None:
    try:
        return (context.gated_of(record) or context.gateway_of(record)).facts
    except Misconfigured:
        return None


def _dashboard_url(record: OrderRecord) -> str | None:
    if record.payment_intent_id is None or record.sent.gateway != STRIPE.name:
        return None
    return payment_url(record.payment_intent_id, livemode=record.order.livemode)
