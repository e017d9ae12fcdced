"""NAIVE ON PURPOSE, never for real money: the payment server of a typical tutorial.

`plain` is the quick start: every request creates a PaymentIntent. `keyed` follows the usual next
step: it uses the order number as the idempotency key. /demo/faults runs both against the sandbox
to show what happens to an order when something fails.
"""

from __future__ import annotations

import json

import stripe
from flask import Flask, Response, jsonify, request

# Separate sandbox accounts, so that the demo can count the PaymentIntents of each.
PLAIN_KEY = "sk_test_tutorialplain"
KEYED_KEY = "sk_test_tutorialkeyed"

app = Flask(__name__)


@app.post("/plain/create-payment-intent")
def plain() -> Response | tuple[Response, int]:
    try:
        data = json.loads(request.data)
        intent = stripe.PaymentIntent.create(
            amount=data["amount"],
            currency=data["currency"],
            automatic_payment_methods={"enabled": True},
            metadata={"order_id": data["order_id"]},
            api_key=PLAIN_KEY,
        )
        return jsonify({"clientSecret": intent["client_secret"]})
    except Exception as e:  # noqa: BLE001 - as the tutorials do
        return jsonify(error=str(e)), 403


@app.post("/keyed/create-payment-intent")
def keyed() -> Response | tuple[Response, int]:
    try:
        data = json.loads(request.data)
        intent = stripe.PaymentIntent.create(
            amount=data["amount"],
            currency=data["currency"],
            automatic_payment_methods={"enabled": True},
            metadata={"order_id": data["order_id"]},
            idempotency_key=data["order_id"],
            api_key=KEYED_KEY,
        )
        return jsonify({"clientSecret": intent["client_secret"]})
    except Exception as e:  # noqa: BLE001 - as the tutorials do
        return jsonify(error=str(e)), 403
