"""The routes of an order once it was created: its status, a change, an end, Stripe's events."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Flask, Response, jsonify, request

from payment_service.gateways.intent import Intent
from payment_service.gateways.stripe.webhook import read_event
from payment_service.payments.changes.webhook import NOT_OURS
from payment_service.payments.request.existing_order import (
    CancelRequest,
    StatusRequest,
    UpdateRequest,
)
from payment_service.web.access_control import access
from payment_service.web.body import MAX_EVENT_BYTES, read_body
from payment_service.web.parse import asked, asked_in_body
from payment_service.web.query_string import read_query
from payment_service.wiring import Parts


def add_order_routes(app: Flask, parts: Parts) -> None:
    """Add them."""
    payments = parts.payments

    @app.get("/payment-intent")
    def payment_intent() -> Response:
        wanted = asked(read_query(request.query_string), StatusRequest)
        orders = payments.orders_of(wanted.client_id)
        return jsonify(asdict(orders.status(wanted, refresh=wanted.refresh == "true")))

    @app.post("/update-payment-intent")
    def update_payment_intent() -> Response:
        access().forbid_tokens()
        wanted = asked_in_body(UpdateRequest)
        updated = payments.orders_of(wanted.client_id).update(wanted)
        response = jsonify({**_shown(updated.intent), "revision": updated.revision})
        if updated.replayed:
            response.headers["Idempotent-Replayed"] = "true"
        return response

    @app.post("/cancel-payment-intent")
    def cancel_payment_intent() -> Response:
        access().forbid_tokens()
        wanted = asked_in_body(CancelRequest)
        return jsonify(_shown(payments.orders_of(wanted.client_id).cancel(wanted)))

    @app.post("/webhook")
    def webhook() -> Response:
        body = read_body(request.stream.read, request.content_length, MAX_EVENT_BYTES)
        header, named = request.headers.get("Stripe-Signature"), read_query(request.query_string)
        signed = read_event(body, header, parts.webhook_secrets, client_id=named.get("client_id"))
        if signed.foreign:
            return jsonify(received=True, outcome=NOT_OURS)
        event = signed.event
        orders = payments.orders_of(event.order.client_id if event else None)
        return jsonify(received=True, outcome=orders.apply(event))


def _shown(intent: Intent) -> dict[str, Any]:
    """Never the client_secret: whoever may pay has it from the creation."""
    return {
        "payment_intent_id": intent.id,
        "status": intent.status,
        "amount": intent.amount,
        "currency": intent.currency,
    }
