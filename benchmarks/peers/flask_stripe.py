"""Stripe's Python sample: Flask and the module-global SDK, without records."""

from __future__ import annotations

import os
from typing import Any

import stripe
from flask import Flask, jsonify, request

stripe.api_key = "sk_test_peer"
stripe.api_base = os.environ["PEER_STRIPE_BASE"]
stripe.enable_telemetry = False

app = Flask(__name__)


@app.get("/healthz")
def healthz() -> Any:
    return jsonify(status="ok")


@app.post("/create-payment-intent")
def create_payment() -> Any:
    try:
        data = request.get_json()
        intent = stripe.PaymentIntent.create(
            amount=data["amount"],
            currency=data["currency"],
            automatic_payment_methods={"enabled": True},
            metadata={"order_id": data["order_id"]},
        )
        return jsonify({"clientSecret": intent["client_secret"]})
    except Exception as e:
        return jsonify(error=str(e)), 403
