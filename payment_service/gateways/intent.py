"""A PaymentIntent as far as the rules need it, and what its status allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from payment_service.key_store.contract import Order

KIND = "payment_intent"

CANCELED = "canceled"

# Money is on its way or there: never replaced, never updated, never failed over (rule 11).
TAKEN = frozenset({"processing", "requires_capture", "succeeded"})

# Nothing follows on these.
OVER = frozenset({CANCELED, "succeeded"})

STATUSES = TAKEN | {
    CANCELED,
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
}


# As Stripe makes them, and no longer than the ids in its reference may be.
_INTENT_ID = re.compile("pi_[A-Za-z0-9_]{1,250}")


def is_intent_id(found: object) -> TypeGuard[str]:
    """Whether this has the form of a PaymentIntent's id."""
    return isinstance(found, str) and _INTENT_ID.fullmatch(found) is not None


class UnreadableIntent(ValueError):
    """What Stripe sent is not a PaymentIntent."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One PaymentIntent as Stripe showed it. `created` in Unix seconds of Stripe's clock."""

    id: str
    client_secret: str = field(repr=False)
    status: str
    amount: int | None
    currency: str | None
    created: int
    metadata: Mapping[str, str]
    raw: Mapping[str, Any] = field(repr=False, compare=False)
    """The whole of Stripe's JSON object."""

    @property
    def payable(self) -> bool:
        """Whether it can still take, or has taken, the shopper's money."""
        return self.status != CANCELED

    def is_of(self, order: Order) -> bool:
        """Whether its metadata names this order."""
        return names_order(self.metadata, order)

    def costs(self, params: Mapping[str, Any]) -> bool:
        """Whether it asks for what these parameters ask for."""
        return (self.amount, self.currency) == (params["amount"], params["currency"])

    def asks_otherwise(self, params: Mapping[str, Any]) -> bool:
        """Whether it says that it asks the shopper for something else than these parameters do.

        Once it is taken, nobody is asked any more.
        """
        return self.shows_otherwise(params) and self.status not in TAKEN

    def shows_otherwise(self, params: Mapping[str, Any]) -> bool:
        """Whether it says another amount or currency than these parameters do."""
        said = {"amount": self.amount, "currency": self.currency}
        return any(value is not None and value != params[name] for name, value in said.items())


def names_order(metadata: object, order: Order) -> bool:
    """Whether a PaymentIntent's metadata names this order."""
    if not isinstance(metadata, Mapping):
        return False
    named = metadata.get("order_id"), metadata.get("client_id")
    return named == (order.order_id, order.client_id)


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
        raw=found,
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
