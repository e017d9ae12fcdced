"""The idempotency keys of an order: its attempts, its captures and its refunds."""

from __future__ import annotations

import hashlib
import json

from payment_service.gateways.sent_params import DEFAULT_GATEWAY

# Marks these keys as ours in the gateway's log. A key has at most 255 ASCII characters at Stripe
# and 108 at PayPal.
PREFIX = "order-"

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
    return PREFIX + hashlib.sha256(json.dumps(named).encode()).hexdigest()


def gated_capture_key(gateway: str, payment_id: str, number: int) -> str:
    """Return the key of the `number`-th capture of a payment at a gated gateway; pure, too."""
    named = json.dumps([NAMESPACE, gateway, payment_id, number])
    return f"capture-{hashlib.sha256(named.encode()).hexdigest()}"


def witness_key(client_id: str | None, order_id: str, intent_id: str, moved_to: str) -> str:
    """Return the key of the update that marks a PaymentIntent (rule 22); pure, too."""
    named = json.dumps([NAMESPACE, client_id, order_id, "witness", intent_id, moved_to])
    return f"{PREFIX}witness-{hashlib.sha256(named.encode()).hexdigest()}"


def refund_key(client_id: str | None, order_id: str, refund_id: str, generation: int) -> str:
    """Return the key of a refund; pure, as idempotency_key is."""
    return _key_after_payment("refund", client_id, order_id, refund_id, generation)


def capture_key(client_id: str | None, order_id: str, intent_id: str, generation: int) -> str:
    """Return the key of a capture; pure, as idempotency_key is.

    It names the PaymentIntent: an order whose authorization lapsed gets another one.
    """
    return _key_after_payment("capture", client_id, order_id, intent_id, generation)


def _key_after_payment(
    what: str, client_id: str | None, order_id: str, subject: str, generation: int
) -> str:
    named = json.dumps([NAMESPACE, client_id, order_id, what, subject, generation])
    return f"{PREFIX}{what}-{hashlib.sha256(named.encode()).hexdigest()}"
