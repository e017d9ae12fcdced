"""A PaymentIntent as far as the rules need it, and what its status allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from key_store.contract import Order

CANCELED = "canceled"

# Money is on its way or there: never replaced, never updated, never failed over (rule 11).
TAKEN = frozenset({"processing", "requires_capture", "succeeded"})

STATUSES = TAKEN | {
    CANCELED,
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
}


class UnreadableIntent(ValueError):
    """What Stripe sent is not a PaymentIntent."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One PaymentIntent as Stripe showed it. `created` in Unix seconds of Stripe's clock."""

    id: str
    client_secret: str = field(repr=False)
    status: str
    amount: int
    currency: str
    created: int
    metadata: Mapping[str, str]
    livemode: bool
    raw: Mapping[str, Any] = field(repr=False, compare=False)
    """The whole of Stripe's JSON object."""

    @property
    def payable(self) -> bool:
        """Whether it can still take, or has taken, the shopper's money."""
        return self.status != CANCELED

    def is_of(self, order: Order) -> bool:
        """Whether its metadata names this order."""
        return (
            self.metadata.get("order_id") == order.order_id
            and self.metadata.get("client_id") == order.client_id
        )

    def costs(self, params: Mapping[str, Any]) -> bool:
        """Whether it asks for what these parameters ask for."""
        return (self.amount, self.currency) == (params["amount"], params["currency"])


def read_intent(found: Any) -> Intent:
    """Read Stripe's JSON object.

    Raises UnreadableIntent: a proxy's page, an empty object, half an answer.
    """
    try:
        intent = Intent(
            id=found["id"],
            client_secret=found["client_secret"],
            status=found["status"],
            amount=found["amount"],
            currency=found["currency"],
            created=found["created"],
            metadata=dict(found.get("metadata") or {}),
            livemode=found["livemode"],
            raw=found,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as wrong:
        raise UnreadableIntent("not a PaymentIntent") from wrong
    if not (_text(intent.id) and _text(intent.client_secret) and _text(intent.status)):
        raise UnreadableIntent("a PaymentIntent without id, client_secret or status")
    return intent


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
