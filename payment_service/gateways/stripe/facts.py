"""The guarantees of Stripe that the payment rules rely on."""

from __future__ import annotations

from payment_service.gateways.facts import GatewayFacts

# The API version of the Stripe SDK in requirements.lock; a test compares the two. A constant,
# because importing the SDK would take a third of the start.
API_VERSION = "2026-10-28.endive"

# In earlier versions, a partial capture makes a Refund of the rest:
# docs.stripe.com/changelog/basil/2025-03-31/
# remove-refund-from-partial-capture-and-payment-cancellation-flow
RELEASED_SINCE = "2025-03-31.basil"

# docs.stripe.com/api/idempotent_requests: Stripe may remove a key once it is 24 hours old. It
# saves the first answer under its key, even a 500. The list is read-after-write; the search is not
# (docs.stripe.com/search).
STRIPE = GatewayFacts(
    name="stripe", key_life_seconds=24 * 3600.0, saves_errors=True, list_is_current=True
)
