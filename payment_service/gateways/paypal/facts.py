"""The guarantees of PayPal that the payment rules rely on."""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.gateways.facts import GatewayFacts

NAME = "paypal"

API_VERSION = "v2"

# "The server stores keys for 6 hours" (PayPal-Request-Id, Orders v2). PayPal does not document
# whether it keeps errors under a key, so a resend never relies on that. It has no list of orders.
PAYPAL = GatewayFacts(
    name=NAME, key_life_seconds=6 * 3600.0, saves_errors=False, list_is_current=False, gated=True
)

# Payments v2: "The server stores keys for 45 days." The order shows its refunds.
PAYPAL_REFUNDS = replace(PAYPAL, key_life_seconds=45 * 86_400.0, list_is_current=True)
