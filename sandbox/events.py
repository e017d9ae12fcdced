"""Event objects and their signatures, as Stripe sends them to webhooks."""

from __future__ import annotations

import hashlib
import hmac

from sandbox.answers import JsonObject


def new_event(
    event_id: str, kind: str, subject: JsonObject, now: float, version: str, *, livemode: bool
) -> JsonObject:
    """Build an Event about a change of `subject`, which must not change afterwards.

    `livemode` comes from the account, because a Refund has no such field.
    """
    return {
        "id": event_id,
        "object": "event",
        "api_version": version,
        "created": int(now),
        "data": {"object": subject},
        "livemode": livemode,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def signature(payload: bytes, secret: str, at: int) -> str:
    """Return the Stripe-Signature header (docs.stripe.com/webhooks#verify-manually)."""
    signed = hmac.new(secret.encode(), b"%d." % at + payload, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"
