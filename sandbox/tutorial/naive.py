"""NAIVE ON PURPOSE, never for real money: the payment server of a typical tutorial.

`plain` is the quick start: every request creates a PaymentIntent. `keyed` follows the usual next
step: it uses the order number as the idempotency key. `failover` charges the card at once, and
sells through PayPal if Stripe does not answer. /demo/faults runs them against the sandboxes to show
what happens to an order when something fails.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import requests
import stripe
from flask import Flask, Response, jsonify, request

# Separate sandbox accounts, so that the demo can count the PaymentIntents of each.
PLAIN_KEY = "sk_test_tutorialplain"
KEYED_KEY = "sk_test_tutorialkeyed"

FAILOVER_KEY = "sk_test_tutorialfailover"

# PayPal's address; its stand-in's where the demo has one.
paypal = "https://api-m.sandbox.paypal.com"

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


@app.post("/failover/pay")
def failover_pay() -> Response | tuple[Response, int]:
    data = json.loads(request.data)
    try:
        intent = stripe.PaymentIntent.create(
            amount=data["amount"],
            currency=data["currency"],
            payment_method="pm_card_visa",
            confirm=True,
            automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
            metadata={"order_id": data["order_id"]},
            idempotency_key=data["order_id"],
            api_key=FAILOVER_KEY,
        )
        return jsonify({"clientSecret": intent["client_secret"]})
    except Exception:  # noqa: BLE001 - as the tutorials do
        order = call_paypal("/v2/checkout/orders", paypal_order(data))
        link = next(each["href"] for each in order["links"] if each["rel"] == "payer-action")
        return jsonify(payment_intent_id=order["id"], redirect_url=link)


@app.post("/failover/capture")
def failover_capture() -> Response:
    order_id = json.loads(request.data)["paypal_order"]
    order = call_paypal(f"/v2/checkout/orders/{order_id}/capture", {})
    return jsonify(payment_intent_id=order["id"])


def paypal_order(data: dict[str, Any]) -> dict[str, Any]:
    amount = {"currency_code": data["currency"].upper(), "value": f"{data['amount'] / 100:.2f}"}
    pages = {"return_url": "https://shop.example/paid", "cancel_url": "https://shop.example/cart"}
    return {
        "intent": "CAPTURE",
        "purchase_units": [{"custom_id": f"tutorial-{data['order_id']}", "amount": amount}],
        "payment_source": {"paypal": {"experience_context": pages}},
    }


def call_paypal(path: str, body: dict[str, Any]) -> Any:
    credentials = ("tutorialfailover", "secret")
    kind = {"grant_type": "client_credentials"}
    got = requests.post(f"{paypal}/v1/oauth2/token", kind, auth=credentials, timeout=10).json()
    headers = {
        "Authorization": f"Bearer {got['access_token']}",
        "PayPal-Request-Id": str(uuid.uuid4()),
        "Prefer": "return=representation",
    }
    return requests.post(f"{paypal}{path}", json=body, headers=headers, timeout=10).json()
