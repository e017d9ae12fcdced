"""The idempotency key of an order's attempt."""

from __future__ import annotations

import hashlib
import json

# Marks these keys as ours in Stripe's log; a key has at most 255 ASCII characters.
PREFIX = "order-"

# Part of every hash, so that our keys differ from those of another application in the account.
NAMESPACE = "stripe-back-end-api/1"

FIRST_ATTEMPT = 1


def idempotency_key(client_id: str | None, order_id: str, attempt: int = FIRST_ATTEMPT) -> str:
    """Return the key of an order's attempt: a pure function, so that no loss of data changes it.

    Hashed, because keys must hold no personal data (docs.stripe.com/api/idempotent_requests).
    The mode is not part of it, because Stripe separates the keys of test and live mode.
    """
    named = json.dumps([NAMESPACE, client_id, order_id, attempt])
    return PREFIX + hashlib.sha256(named.encode()).hexdigest()
