"""NAIVE ON PURPOSE, never for money: the payment server that the common tutorials show.

`plain` is the quick start: a new PaymentIntent for every request. `keyed` follows the usual next
piece of advice, the order number as the idempotency key. Both run against the sandbox, for
/demo/faults, and show what happens to an order when something goes wrong.
"""

from __future__ import annotations

import json

import stripe
from flask import Flask, Response, jsonify, request

# Accounts of their own in the sandbox, so that their PaymentIntents can be told apart.
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
