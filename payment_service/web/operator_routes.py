"""The operator's page and its API: every order, and what a person may do about one.

Each route is named `operator_…`, so that access control lets in operators only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from flask import Flask, Response, jsonify, request

from payment_service.errors import BadRequest, Forbidden, NotFound
from payment_service.operator_page.pages import open_pages
from payment_service.payments.recovery.by_hand import ByHand
from payment_service.payments.request.create import check_request
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    OrderRequest,
    RefundRequest,
    StatusRequest,
)
from payment_service.payments.request.order_list import OrdersRequest
from payment_service.payments.request.overview import OverdueRequest, TotalsRequest
from payment_service.web.access_control import current_access, current_operator
from payment_service.web.operator_views import (
    show_order,
    show_overdue,
    show_totals,
)
from payment_service.web.orders_list_routes import shown_page
from payment_service.web.parse import parse, parse_body
from payment_service.web.query_string import read_query
from payment_service.wiring import Parts

if TYPE_CHECKING:
    from payment_service.access.clients import Clients
    from payment_service.access.operators import Operator

API = "/operator/api"

# A search without a client reads one record for each of them.
MAX_SEARCHED = 1000

OneOrder = TypeVar("OneOrder", bound=OrderRequest)


def add_operator_routes(app: Flask, parts: Parts, clients: Clients) -> None:
    """Add the page and its API. Without a clients file the service has neither."""
    _add_page(app)
    _add_orders(app, parts, clients)
    _add_lists(app, parts)
    _add_actions(app, parts)


def _acting_operator() -> Operator:
    """Return the operator of the request. Raises Forbidden without the role to act."""
    operator = current_operator()
    if not operator.may_act:
        raise Forbidden("This operator may read, but not act")
    return operator


def _add_page(app: Flask) -> None:
    pages = open_pages()

    def show() -> Response:
        shown = pages[request.path]
        return Response(shown.body, headers=dict(shown.headers))

    for path in pages:
        app.add_url_rule(path, endpoint="operator_page", view_func=show)


def _add_orders(app: Flask, parts: Parts, clients: Clients) -> None:
    payments = parts.payments

    @app.get(f"{API}/me")
    def operator_me() -> Response:
        operator = current_operator()
        return jsonify(
            operator=operator.id,
            role=operator.role,
            clients=[each.id for each in clients if operator.may_see(each.id)],
            all_clients=operator.clients is None,
            livemode=parts.settings.livemode,
        )

    @app.get(f"{API}/find")
    def operator_find() -> Response:
        wanted = check_request(read_query(request.query_string), OrderRequest)
        operator, found = current_operator(), []
        searched = [None, *(each.id for each in clients)]
        if wanted.client_id is not None:
            searched = [wanted.client_id]
        if len(searched) > MAX_SEARCHED:
            raise BadRequest("client_id: name a client, because there are many", param="client_id")
        for client_id in filter(operator.may_see, searched):
            with suppress(NotFound):
                payments.orders.record(OrderRequest(order_id=wanted.order_id, client_id=client_id))
                found.append(client_id)
        return jsonify(clients=found)

    @app.get(f"{API}/order")
    def operator_order() -> Response:
        wanted = parse(read_query(request.query_string), StatusRequest)
        orders = payments.orders_of(wanted.client_id)
        if wanted.refresh == "true":
            # It may capture an approved payment, and records what it finds.
            ByHand(orders, _acting_operator().signature).refresh(wanted)
        return jsonify(show_order(orders, wanted))


def _add_lists(app: Flask, parts: Parts) -> None:
    payments = parts.payments

    @app.get(f"{API}/orders")
    def operator_orders() -> Response:
        wanted = current_access().check(read_query(request.query_string), OrdersRequest)
        return jsonify(shown_page(payments.orders.page(wanted)))

    @app.get(f"{API}/overdue")
    def operator_overdue() -> Response:
        given = read_query(request.query_string)
        wanted = current_access().check(given, OverdueRequest)
        return jsonify(orders=show_overdue(payments.orders, wanted.client_id))

    @app.get(f"{API}/totals")
    def operator_totals() -> Response:
        wanted = current_access().check(read_query(request.query_string), TotalsRequest)
        return jsonify(show_totals(payments.orders, wanted))


def _add_actions(app: Flask, parts: Parts) -> None:
    payments = parts.payments

    def act(kind: type[OneOrder], action: Callable[[ByHand, OneOrder], None]) -> Response:
        """Run an operator's action and return the order as it is then."""
        operator = _acting_operator()
        wanted = parse_body(kind)
        orders = payments.orders_of(wanted.client_id)
        action(ByHand(orders, operator.signature), wanted)
        return jsonify(show_order(orders, wanted))

    @app.post(f"{API}/cancel")
    def operator_cancel() -> Response:
        return act(CancelRequest, ByHand.cancel)

    @app.post(f"{API}/capture")
    def operator_capture() -> Response:
        return act(CaptureRequest, ByHand.capture)

    @app.post(f"{API}/refund")
    def operator_refund() -> Response:
        return act(RefundRequest, ByHand.refund)

    @app.post(f"{API}/resolve")
    def operator_resolve() -> Response:
        return act(OrderRequest, ByHand.resolve)
