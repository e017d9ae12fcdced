"""A refund as the rules see it, and what its status means."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from payment_service.gateways.intent import names_order
from payment_service.key_store.contract import Order

# The shopper gets nothing: the amount is again part of what can be refunded.
WITHOUT_EFFECT = frozenset({"failed", "canceled"})

# The provider still works on it, or waits for the shopper's bank details.
UNDER_WAY = frozenset({"pending", "requires_action"})

# Final, except that a bank can return even a refund that succeeded.
STATUSES = UNDER_WAY | WITHOUT_EFFECT | {"succeeded"}


class Refund(Struct, frozen=True):
    """One refund as the gateway returned it. `created`: Unix seconds, gateway clock.

    `failure_reason`: the gateway's word for why it failed, None if it did not.
    """

    id: str
    intent_id: str
    amount: int
    currency: str
    status: str
    created: int
    metadata: Mapping[str, str]
    reason: str | None = None
    failure_reason: str | None = None

    @property
    def counts(self) -> bool:
        """Whether its amount is taken from what was received; an unknown status counts."""
        return self.status not in WITHOUT_EFFECT

    def is_of(self, order: Order, refund_id: str) -> bool:
        """Whether its metadata names this refund of this order; a dashboard's names none."""
        return names_order(self.metadata, order) and self.metadata.get("refund_id") == refund_id


def refunded_in_all(refunds: list[Refund]) -> int:
    """Return the sum of the refunds that count."""
    return sum(refund.amount for refund in refunds if refund.counts)
