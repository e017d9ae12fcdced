"""Stripe's PaymentIntent object, converted to an Intent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from payment_service.gateways.intent import Failure, Intent

KIND = "payment_intent"

# The update parameters that the PaymentIntent shows under the same name.
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


# The form of Stripe's ids, with the maximum length that its reference allows.
_INTENT_ID = re.compile("pi_[A-Za-z0-9_]{1,250}")
_CHARGE_ID = re.compile("(ch|py)_[A-Za-z0-9_]{1,250}")


def is_intent_id(found: object) -> TypeGuard[str]:
    """Whether this is a well-formed PaymentIntent id."""
    return isinstance(found, str) and _INTENT_ID.fullmatch(found) is not None


def is_charge_id(found: object) -> TypeGuard[str]:
    """Whether this is a well-formed id of a charge; that of a bank debit begins with `py_`."""
    return isinstance(found, str) and _CHARGE_ID.fullmatch(found) is not None


class UnreadableIntent(ValueError):
    """Stripe's answer is not a PaymentIntent."""


def read_intent(found: Any) -> Intent:
    """Convert Stripe's JSON object; the fields that we return (id, client_secret) are required.

    Raises UnreadableIntent, for example for a proxy's page, an empty object or a partial answer.
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
        amount_capturable=found.get("amount_capturable"),
        manual_capture=found.get("capture_method") == "manual",
        failure=_failure(found),
        raw=found,
    )


def _failure(found: Mapping[str, Any]) -> Failure | None:
    """Name a failed payment after its charge, or else after a hash of the whole failure."""
    error = found.get("last_payment_error")
    if not error or not isinstance(error, dict):
        return None
    code = error.get("decline_code") or error.get("code")
    if isinstance(error.get("charge"), str):
        return Failure(error["charge"], code)
    said = json.dumps([found["id"], found.get("latest_charge"), error], sort_keys=True)
    return Failure(hashlib.sha256(said.encode()).hexdigest()[:32], code)


def shows(intent: Intent, wanted: Mapping[str, Any]) -> bool:
    """Whether the PaymentIntent already has the values that this update sets."""
    named = wanted.get("metadata", {}).items()
    return all(intent.raw.get(name) == wanted[name] for name in SHOWN if name in wanted) and all(
        # In Stripe's API an empty value removes the name.
        intent.metadata.get(name, "") == value
        for name, value in named
    )


def same_intent(found: Intent, intent_id: str) -> Intent:
    """Return `found` if it has this id. Raises UnreadableIntent if not."""
    if found.id != intent_id:
        raise UnreadableIntent("another PaymentIntent than was asked for")
    return found


def same_order(found: Intent, params: Mapping[str, Any]) -> Intent:
    """Return `found` unless it names another order than the parameters.

    An answer matched to the wrong request would give one shopper another shopper's client_secret.
    Raises UnreadableIntent.
    """
    sent = params.get("metadata") or {}
    both_named = "order_id" in sent and "order_id" in found.metadata
    names = ("order_id", "client_id")
    if both_named and any(_kept(found.metadata, name) != _kept(sent, name) for name in names):
        raise UnreadableIntent("a PaymentIntent of another order")
    return found


def _kept(metadata: Mapping[str, Any], name: str) -> str:
    """Return the value as Stripe stores it: as text, empty if there is none."""
    value = metadata.get(name)
    return "" if value is None else str(value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()
