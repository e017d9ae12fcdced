"""Stripe's promises, which the rules build on."""

from __future__ import annotations

from payment_service.gateways.facts import GatewayFacts

# docs.stripe.com/api/idempotent_requests: keys may be removed once they are 24 hours old, and the
# first answer is saved under its key, including a 500. The list is read-after-write, the search is
# not (docs.stripe.com/search).
STRIPE = GatewayFacts(
    name="stripe", key_life_seconds=24 * 3600.0, saves_errors=True, list_is_current=True
)
