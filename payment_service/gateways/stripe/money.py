"""Stripe's Refund, Dispute and Charge objects, converted to the neutral ones.

Each conversion raises UnreadableMoney for anything else, for example for a proxy's page, an empty
object, a partial answer, or the object of another PaymentIntent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from payment_service.gateways.charge import Charge
from payment_service.gateways.dispute import Dispute
from payment_service.gateways.refund import Refund
from payment_service.gateways.stripe.intents import is_intent_id

M = TypeVar("M", Refund, Dispute, Charge)

# Refunds and disputes of some payment methods have prefixes of their own, such as `pyr_`.
_ID = re.compile("[a-z]{1,10}_[A-Za-z0-9_]{1,250}")
_WORD = re.compile("[a-z0-9_]{1,100}")

_INQUIRY = "warning_"
# Stripe's statuses that mean the same to us; `warning_` has been removed.
_SAME_STATUS = {
    "appeal_needs_response": "needs_response",
    "appeal_under_review": "under_review",
    "prevented": "closed",
}


class UnreadableMoney(ValueError):
    """Stripe's answer is not the Refund, Dispute or Charge that we asked for."""


def read_refund(found: Any) -> Refund:
    """Convert a Refund of a PaymentIntent."""
    found = _object(found, "refund")
    return Refund(
        id=found["id"],
        intent_id=_intent_id(found),
        amount=_amount(found, "amount"),
        currency=_word(found, "currency"),
        # Stripe's reference allows null here. Such a refund counts, so it cannot be made again.
        status=_optional_word(found, "status") or "pending",
        created=_amount(found, "created"),
        metadata=_metadata(found),
        reason=_optional_word(found, "reason"),
        failure_reason=_optional_word(found, "failure_reason"),
    )


def read_dispute(found: Any) -> Dispute:
    """Convert a Dispute of a PaymentIntent."""
    found = _object(found, "dispute")
    details = found.get("evidence_details")
    respond_by = details.get("due_by") if isinstance(details, dict) else None
    status = _word(found, "status")
    plain = status.removeprefix(_INQUIRY)
    return Dispute(
        id=found["id"],
        intent_id=_intent_id(found),
        amount=_amount(found, "amount"),
        currency=_word(found, "currency"),
        status=_SAME_STATUS.get(plain, plain),
        reason=_word(found, "reason"),
        created=_amount(found, "created"),
        respond_by=respond_by if isinstance(respond_by, int) else None,
        is_inquiry=status.startswith(_INQUIRY),
    )


def read_charge(found: Any) -> Charge:
    """Convert a Charge of a PaymentIntent."""
    found = _object(found, "charge")
    return Charge(
        id=found["id"],
        intent_id=_intent_id(found),
        capture_before=None if found.get("captured") is True else _capture_before(found),
    )


def same_refund(refund: Refund, intent_id: str, sent: Mapping[str, Any]) -> Refund:
    """Return the refund if it is the one that we asked for.

    An answer matched to the wrong request would confirm a refund that was never made.
    """
    if of_intent(refund, intent_id).amount != sent.get("amount", refund.amount):
        raise UnreadableMoney("a refund of another amount")
    named = (sent.get("metadata") or {}).get("refund_id")
    if named is not None and refund.metadata.get("refund_id") != named:
        raise UnreadableMoney("another refund than was asked for")
    return refund


def of_intent(found: M, intent_id: str) -> M:
    """Return the object if it belongs to this PaymentIntent."""
    if found.intent_id != intent_id:
        raise UnreadableMoney("an object of another PaymentIntent")
    return found


def _object(found: Any, kind: str) -> dict[str, Any]:
    if not isinstance(found, dict) or found.get("object") != kind:
        raise UnreadableMoney(f"not a {kind}")
    object_id = found.get("id")
    if not (isinstance(object_id, str) and _ID.fullmatch(object_id)):
        raise UnreadableMoney(f"a {kind} without id")
    return found


def _intent_id(found: Mapping[str, Any]) -> str:
    intent_id = found.get("payment_intent")
    if not is_intent_id(intent_id):
        raise UnreadableMoney("an object without a PaymentIntent")
    return intent_id


def _amount(found: Mapping[str, Any], name: str) -> int:
    amount = found.get(name)
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
        raise UnreadableMoney(f"no {name}")
    return amount


def _word(found: Mapping[str, Any], name: str) -> str:
    word = _optional_word(found, name)
    if word is None:
        raise UnreadableMoney(f"no {name}")
    return word


def _optional_word(found: Mapping[str, Any], name: str) -> str | None:
    word = found.get(name)
    return word if isinstance(word, str) and _WORD.fullmatch(word) else None


def _metadata(found: Mapping[str, Any]) -> dict[str, str]:
    metadata = found.get("metadata")
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return {name: value for name, value in pairs if isinstance(value, str)}


def _capture_before(found: Mapping[str, Any]) -> int | None:
    details = found.get("payment_method_details")
    inner = details.get(str(details.get("type"))) if isinstance(details, dict) else None
    at = inner.get("capture_before") if isinstance(inner, dict) else None
    return at if isinstance(at, int) else None
