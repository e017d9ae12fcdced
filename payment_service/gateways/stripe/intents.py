"""Stripe's PaymentIntent object, read as an Intent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from payment_service.gateways.intent import Failure, Intent

KIND = "payment_intent"

# The parameters of an update that the PaymentIntent shows by the same name.
SHOWN = (
    "amount",
    "currency",
    "description",
    "receipt_email",
    "customer",
    "capture_method",
    "setup_future_usage",
    "statement_descriptor_suffix",
)


# As Stripe makes them, and no longer than the ids in its reference may be.
_INTENT_ID = re.compile("pi_[A-Za-z0-9_]{1,250}")


def is_intent_id(found: object) -> TypeGuard[str]:
    """Whether this has the form of a PaymentIntent's id."""
    return isinstance(found, str) and _INTENT_ID.fullmatch(found) is not None


class UnreadableIntent(ValueError):
    """What Stripe sent is not a PaymentIntent."""


def read_intent(found: Any) -> Intent:
    """Read Stripe's JSON object; what the answer stands on (id, client_secret) must be there.

    Raises UnreadableIntent: a proxy's page, an empty object, half an answer.
    """
    if not isinstance(found, dict) or found.get("object", KIND) != KIND:
        raise UnreadableIntent("not a PaymentIntent")
    if not (is_intent_id(found.get("id")) and _text(found.get("client_secret"))):
        raise UnreadableIntent("a PaymentIntent without id or client_secret")
    return Intent(
        id=found["id"],
        client_secret=found["client_secret"],
        status=str(found.get("status") or "requires_payment_method"),
        amount=found.get("amount"),
        currency=found.get("currency"),
        created=int(found.get("created") or 0),
        metadata=dict(found.get("metadata") or {}),
        livemode=found.get("livemode") is True,
        amount_received=found.get("amount_received"),
        failure=_failure(found),
        raw=found,
    )


def _failure(found: Mapping[str, Any]) -> Failure | None:
    """Name a failed payment: by its charge, else by all that Stripe says of the failure."""
    error = found.get("last_payment_error")
    if not error or not isinstance(error, dict):
        return None
    code = error.get("decline_code") or error.get("code")
    if isinstance(error.get("charge"), str):
        return Failure(error["charge"], code)
    said = json.dumps([found["id"], found.get("latest_charge"), error], sort_keys=True)
    return Failure(hashlib.sha256(said.encode()).hexdigest()[:32], code)


def shows(intent: Intent, wanted: Mapping[str, Any]) -> bool:
    """Whether the PaymentIntent is what an update with these parameters asks for."""
    named = wanted.get("metadata", {}).items()
    return all(intent.raw.get(name) == wanted[name] for name in SHOWN if name in wanted) and all(
        # Stripe reads an empty text as the wish to remove the name.
        intent.metadata.get(name, "") == value
        for name, value in named
    )


def same_intent(found: Intent, intent_id: str) -> Intent:
    """Return `found` if it is the one that was asked for; raises UnreadableIntent."""
    if found.id != intent_id:
        raise UnreadableIntent("another PaymentIntent than was asked for")
    return found


def same_order(found: Intent, params: Mapping[str, Any]) -> Intent:
    """Return `found` unless it names another order than these parameters.

    An answer that slipped to the wrong request would give one shopper another's client_secret.
    Raises UnreadableIntent.
    """
    sent = params.get("metadata") or {}
    both_named = "order_id" in sent and "order_id" in found.metadata
    names = ("order_id", "client_id")
    if both_named and any(_kept(found.metadata, name) != _kept(sent, name) for name in names):
        raise UnreadableIntent("a PaymentIntent of another order")
    return found


def _kept(metadata: Mapping[str, Any], name: str) -> str:
    """Return the value as Stripe keeps it: as text, and nothing where there is none."""
    value = metadata.get(name)
    return "" if value is None else str(value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()
