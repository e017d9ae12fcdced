"""GET /orders: lists of orders for the shop's server."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request

from payment_service.payments.changes.listing import ListedOrder, OrderPage
from payment_service.payments.request.order_list import OrdersRequest
from payment_service.telemetry import request_log
from payment_service.web.access_control import current_access
from payment_service.web.query_string import read_query
from payment_service.wiring import Parts


def add_orders_list_routes(app: Flask, parts: Parts) -> None:
    """Add the route."""

    @app.get("/orders")
    def list_orders() -> Response:
        access = current_access()
        access.forbid_tokens()
        wanted = access.check(read_query(request.query_string), OrdersRequest)
        request_log.add_fields(client=wanted.client_id)
        # One store has the orders of all clients, whatever account they are in.
        return jsonify(shown_page(parts.payments.orders.page(wanted)))


def shown_page(page: OrderPage) -> dict[str, Any]:
    """Return a page in JSON types."""
    return {"orders": [show_listed(each) for each in page.orders], "next_cursor": page.next_cursor}


def show_listed(listed: ListedOrder) -> dict[str, Any]:
    """Return an order of a list in JSON types, without its history."""
    shown = listed.status.shown()
    del shown["history"]
    return {**shown, "alarms": listed.alarms}
