"""The names of the payment gateways, as settings and requests have them, and as people read them."""

from __future__ import annotations

STRIPE, PAYPAL = "stripe", "paypal"

GATEWAY_TITLES = {STRIPE: "Stripe", PAYPAL: "PayPal"}
