"""Routes for the gateways' events, each verified over the bytes of its body."""

from __future__ import annotations

from flask import Flask, Response, g, jsonify, request

from payment_service.gateways.stripe.webhook import read_event
from payment_service.payments.changes.webhook import NOT_OURS
from payment_service.web.body import MAX_EVENT_BYTES, read_body
from payment_service.web.query_string import read_query
from payment_service.wiring import Parts


def add_webhooks(app: Flask, parts: Parts) -> None:
    """Add the routes."""
    payments = parts.payments

    @app.post("/webhook")
    def webhook() -> Response:
        body = _event_bytes()
        header, named = request.headers.get("Stripe-Signature"), read_query(request.query_string)
        signed = read_event(body, header, parts.webhook_secrets, client_id=named.get("client_id"))
        g.event_is_signed = True
        if signed.foreign:
            return jsonify(received=True, outcome=NOT_OURS)
        if signed.money:
            client_id = named.get("client_id")
            outcome = payments.apply_money(signed.money, signed.covers, client_id)
            return jsonify(received=True, outcome=outcome)
        event = signed.event
        orders = payments.orders_of(event.order.client_id if event else None)
        return jsonify(received=True, outcome=orders.apply(event))

    @app.post("/webhook/paypal")
    def paypal_webhook() -> Response:
        body = _event_bytes()
        headers = {name.lower(): value for name, value in request.headers.items()}
        named = read_query(request.query_string).get("client_id")
        event = parts.paypal_events.read(body, headers, named)
        g.event_is_signed = True
        if event is None:
            return jsonify(received=True, outcome=NOT_OURS)
        orders = payments.orders_of(event.order.client_id)
        return jsonify(received=True, outcome=orders.apply(event))


def _event_bytes() -> bytes:
    coding = request.headers.get("Content-Encoding")
    return read_body(request.stream.read, request.content_length, MAX_EVENT_BYTES, coding=coding)
