"""Routes for existing orders: status, changes, capture and refunds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify, request
from msgspec.structs import asdict

from payment_service.gateways.intent import Intent
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    RefundRequest,
    StatusRequest,
    UpdateRequest,
)
from payment_service.web.access_control import current_access
from payment_service.web.parse import parse, parse_body
from payment_service.web.query_string import read_query
from payment_service.wiring import Parts


def add_order_routes(app: Flask, parts: Parts) -> None:
    """Add the routes."""
    payments = parts.payments

    @app.get("/payment-intent")
    def payment_intent() -> Response:
        wanted = parse(read_query(request.query_string), StatusRequest)
        orders = payments.orders_of(wanted.client_id)
        shown = orders.status(wanted, refresh=wanted.refresh == "true").shown()
        if current_access().kind == "token":
            # A shopper's browser has the token: the names of the shop's people are none of its
            # business.
            shown["history"] = [_without_names(each) for each in shown["history"]]
        return jsonify(shown)

    @app.post("/update-payment-intent")
    def update_payment_intent() -> Response:
        current_access().forbid_tokens()
        wanted = parse_body(UpdateRequest)
        updated = payments.orders_of(wanted.client_id).update(wanted)
        shown = {**_public_fields(updated.intent), "revision": updated.revision}
        return _replayable(shown, replayed=updated.replayed)

    @app.post("/cancel-payment-intent")
    def cancel_payment_intent() -> Response:
        current_access().forbid_tokens()
        wanted = parse_body(CancelRequest)
        return jsonify(_public_fields(payments.orders_of(wanted.client_id).cancel(wanted)))

    @app.post("/capture-payment-intent")
    def capture_payment_intent() -> Response:
        current_access().forbid_tokens()
        wanted = parse_body(CaptureRequest)
        done = payments.orders_of(wanted.client_id).capture(wanted)
        return _replayable(
            {
                "payment_intent_id": done.intent.id,
                "status": done.intent.status,
                "amount_captured": done.amount_captured,
            },
            replayed=done.replayed,
        )

    @app.post("/refund-payment-intent")
    def refund_payment_intent() -> Response:
        current_access().forbid_tokens()
        wanted = parse_body(RefundRequest)
        done = asdict(payments.orders_of(wanted.client_id).refund(wanted))
        return _replayable(done, replayed=done.pop("replayed"))


def _replayable(shown: dict[str, Any], *, replayed: bool) -> Response:
    response = jsonify(shown)
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _without_names(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "by"}


def _public_fields(intent: Intent) -> dict[str, Any]:
    """Return the public fields, never the client_secret: only the creation returns that."""
    return {
        "payment_intent_id": intent.id,
        "status": intent.status,
        "amount": intent.amount,
        "currency": intent.currency,
    }
