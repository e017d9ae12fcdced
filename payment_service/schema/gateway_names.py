"""The names of the payment gateways: in settings and requests, and for people."""

from __future__ import annotations

STRIPE, PAYPAL = "stripe", "paypal"

GATEWAY_TITLES = {STRIPE: "Stripe", PAYPAL: "PayPal"}
