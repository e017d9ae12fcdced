"""A PaymentIntent as far as the rules need it, and what its status allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from payment_service.key_store.contract import Order

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


@dataclass(frozen=True, slots=True)
class Failure:
    """A payment that failed. `name` tells it from the other failures of the PaymentIntent; `code`
    is the gateway's word for the reason.
    """

    name: str
    code: str | None


@dataclass(frozen=True, slots=True)
class Intent:
    """One PaymentIntent as its gateway showed it. `created`: Unix seconds, by the gateway."""

    id: str
    client_secret: str = field(repr=False)
    status: str
    amount: int | None
    currency: str | None
    created: int
    metadata: Mapping[str, str]
    livemode: bool = False
    amount_received: int | None = None
    failure: Failure | None = None
    """The last payment that failed, where the gateway still shows one."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The gateway's own object, for code that knows the gateway: the rules never look into it."""

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
