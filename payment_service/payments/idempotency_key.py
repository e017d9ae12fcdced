"""The idempotency keys of an order's attempts and captures."""

from __future__ import annotations

import hashlib
import json

from payment_service.gateways.sent_params import DEFAULT_GATEWAY

# Marks these keys as ours in the gateway's log. A key has at most 255 ASCII characters at Stripe
# and 108 at PayPal.
PREFIX = "order-"
CAPTURE_PREFIX = "capture-"

# Part of every hash, so that our keys differ from those of another application in the account.
NAMESPACE = "stripe-back-end-api/1"

FIRST_ATTEMPT = 1


def idempotency_key(
    client_id: str | None,
    order_id: str,
    attempt: int = FIRST_ATTEMPT,
    gateway: str = DEFAULT_GATEWAY,
) -> str:
    """Return the key of an order's attempt: a pure function, so that no loss of data changes it.

    Hashed, because keys must hold no personal data (docs.stripe.com/api/idempotent_requests).
    The mode is not part of it, because a gateway separates the keys of test and live mode. The
    attempts of an order count on through all gateways.
    """
    named: list[object] = [NAMESPACE, client_id, order_id, attempt]
    if gateway != DEFAULT_GATEWAY:
        # Keys of releases that knew one gateway stay as they are.
        named.append(gateway)
    return PREFIX + _hashed(named)


def capture_key(gateway: str, payment_id: str, number: int) -> str:
    """Return the key of the `number`-th capture of a payment at a gated gateway."""
    return CAPTURE_PREFIX + _hashed([NAMESPACE, gateway, payment_id, number])


def _hashed(named: list[object]) -> str:
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()
