"""The idempotency key of an order's attempt, and the exact parameters that it stands for."""

from __future__ import annotations

import hashlib
import json

# Says in Stripe's log whose keys these are; a key has at most 255 ASCII characters.
PREFIX = "order-"

# Part of every hash: keys of another application in the same account must not meet ours.
NAMESPACE = "stripe-back-end-api/1"

FIRST_ATTEMPT = 1


def idempotency_key(client_id: str | None, order_id: str, attempt: int = FIRST_ATTEMPT) -> str:
    """Return the key of an order's attempt: a pure function, so that it survives any loss.

    Hashed, because keys must hold no personal data (docs.stripe.com/api/idempotent_requests).
    Test and live mode need no place in it: Stripe keeps their keys apart.
    """
    named = json.dumps([NAMESPACE, client_id, order_id, attempt])
    return PREFIX + hashlib.sha256(named.encode()).hexdigest()
