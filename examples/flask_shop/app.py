"""A shop in Flask: signs an order's token, shows a page with pay.js, and hears order events."""

import hashlib
import hmac
import os
import time
from pathlib import Path
from typing import Any

import jwt
from flask import Flask, Response, abort, render_template_string, request

EXAMPLES = Path(__file__).resolve().parent.parent
PAGE = (EXAMPLES / "checkout.html").read_text("utf-8")
PAY_JS = EXAMPLES.parent / "payment_service/checkout/pay.js"  # Copy this file into your shop.

TOKEN_SECRET, EVENTS_SECRET = os.environ["TOKEN_SECRET"], os.environ["ORDER_EVENTS_SECRET"]
CLIENT_ID = os.environ.get("CLIENT_ID", "shop-a")
SERVICE_URL = os.environ.get("SERVICE_URL", "http://127.0.0.1:4242")
STRIPE_JS = os.environ.get("STRIPE_JS", "https://js.stripe.com/v3/")

# In place of the shop's database.
orders: dict[str, dict[str, Any]] = {"A-1": {"amount": 1099, "currency": "usd", "paid": False}}
seen: set[str] = set()

app = Flask(__name__)


@app.get("/checkout/<order_id>")
def checkout(order_id: str) -> str:
    order = orders.get(order_id) or abort(404)
    # The signature covers the price, so the browser cannot choose another.
    claims = {
        "order_id": order_id,
        "amount": order["amount"],
        "currency": order["currency"],
        "client_id": CLIENT_ID,
        "exp": int(time.time()) + 900,
    }
    token = jwt.encode(claims, TOKEN_SECRET, algorithm="HS256")
    named = {"service": SERVICE_URL, "stripe_js": STRIPE_JS, "client_id": CLIENT_ID}
    return render_template_string(PAGE, token=token, order_id=order_id, **named)


@app.get("/pay.js")
def pay_js() -> Response:
    return Response(PAY_JS.read_bytes(), mimetype="text/javascript")


@app.post("/order-events")
def order_events() -> tuple[str, int]:
    if not is_genuine(request.get_data(), request.headers.get("Order-Signature", "")):
        abort(400)
    event = request.get_json()
    # The service repeats an event until the shop answers 2xx.
    if event["id"] not in seen:
        if event["type"] == "order.paid":
            orders[event["data"]["object"]["order_id"]]["paid"] = True
        seen.add(event["id"])
    return "", 204


def is_genuine(body: bytes, header: str) -> bool:
    """Verify the signature over the raw bytes; it may be five minutes old."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    at = dict(parts).get("t", "")
    if not at.isdecimal() or abs(time.time() - int(at)) > 300:
        return False
    proof = hmac.new(EVENTS_SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    given = [value.encode() for name, value in parts if name == "v1"]
    return any(hmac.compare_digest(proof.encode(), each) for each in given)


@app.get("/orders/<order_id>")
def show(order_id: str) -> dict[str, Any]:
    return orders.get(order_id) or abort(404)
