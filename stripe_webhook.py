"""Read an event of Stripe's: its signature first, over the bytes as they came, then its JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import stripe

from payment.errors import BadRequest
from payment.webhook_events import StripeEvent
from secret_text import Secret

# Stripe's own default (docs.stripe.com/webhooks): how old a signature may be, so that a copy that
# somebody kept is worth nothing. Not a setting, because 0 would switch the check off.
TOLERANCE_SECONDS = 300


def read_event(
    body: bytes,
    header: str | None,
    secrets: Secret | None,
    clock: Callable[[], float] = time.time,
) -> StripeEvent | None:
    """Return the event; None for one that is about no order's PaymentIntent.

    `secrets`: one or more, separated by commas; any of them may have signed. Raises BadRequest:
    webhook_secret_missing, invalid_signature, malformed_json.
    """
    if secrets is None:
        raise BadRequest(
            "STRIPE_WEBHOOK_SECRET is not set: no event is taken", code="webhook_secret_missing"
        )
    known = [secret.strip() for secret in secrets.get_secret_value().split(",")]
    if not header or not any(_signed(body, header, secret) for secret in known):
        raise _invalid("The signature is missing or is not Stripe's")
    if abs(clock() - _signed_at(header)) > TOLERANCE_SECONDS:
        raise _invalid("The signature is too old: is the clock right?")
    return _parsed(body)


def _signed(body: bytes, header: str, secret: str) -> bool:
    if not header.isascii():
        # The SDK's comparison raises for it.
        return False
    try:
        # Without its tolerance, which reads a clock of its own.
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False


def _signed_at(header: str) -> int:
    """The instant that was signed: the first, as the SDK takes it."""
    return int(next(part[2:] for part in header.split(",") if part.startswith("t=")))


def _parsed(body: bytes) -> StripeEvent | None:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise BadRequest("The event is not JSON", code="malformed_json") from wrong
    if not isinstance(event, dict):
        raise BadRequest("The event is not a JSON object", code="malformed_json")
    return StripeEvent.of(event)


def _invalid(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_signature")
