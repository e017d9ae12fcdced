"""A typical tutorial: an idempotency key from the order, and retries with back-off."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from typing import Any

import stripe
from flask import Flask, jsonify, request

stripe.api_key = "sk_test_peer"
stripe.api_base = os.environ["PEER_STRIPE_BASE"]

logging.basicConfig(level=logging.WARNING)
app = Flask(__name__)


def generate_idempotency_key(order_id: str) -> str:
    return hashlib.sha256(order_id.encode()).hexdigest()


def create_payment_intent(
    amount: int, currency: str, metadata: dict[str, str], idempotency_key: str
) -> stripe.PaymentIntent | None:
    for attempt in range(3):
        try:
            return stripe.PaymentIntent.create(
                amount=amount,
                currency=currency,
                metadata=metadata,
                idempotency_key=idempotency_key,
            )
        except stripe.APIConnectionError:
            time.sleep(2**attempt)
        except stripe.StripeError as e:
            logging.error("Stripe error: %s", e)
            return None
    return None


@app.get("/healthz")
def healthz() -> Any:
    return jsonify(status="ok")


@app.post("/create-payment-intent")
def create_payment_intent_route() -> Any:
    data = request.get_json()
    if not data or "amount" not in data or "order_id" not in data:
        return jsonify(error="Missing required parameters: amount, order_id"), 400
    intent = create_payment_intent(
        data["amount"],
        data.get("currency", "usd"),
        {"order_id": data["order_id"]},
        generate_idempotency_key(data["order_id"]),
    )
    if intent is None:
        return jsonify(error="Failed to create payment intent"), 500
    return jsonify(client_secret=intent.client_secret, payment_intent_id=intent.id)
