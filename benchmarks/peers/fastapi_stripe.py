"""FastAPI and the SDK's asynchronous methods, which require httpx or aiohttp."""

from __future__ import annotations

import os
from typing import Any

import stripe
from fastapi import FastAPI
from pydantic import BaseModel

stripe.enable_telemetry = False
client = stripe.StripeClient(
    "sk_test_peer",
    base_addresses={"api": os.environ["PEER_STRIPE_BASE"]},
    http_client=stripe.HTTPXClient(),
)
app = FastAPI()


class Order(BaseModel):
    amount: int
    currency: str
    order_id: str


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/create-payment-intent")
async def create_payment(order: Order) -> dict[str, Any]:
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": order.amount,
            "currency": order.currency,
            "automatic_payment_methods": {"enabled": True},
            "metadata": {"order_id": order.order_id},
        }
    )
    return {"clientSecret": intent.client_secret}
