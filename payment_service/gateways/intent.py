"""A PaymentIntent with the fields that the rules need, and what its status allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from payment_service.key_store.contract import Order

# Stripe's words for the status; another gateway's status is translated into them.
REQUIRES_ACTION, REQUIRES_CAPTURE = "requires_action", "requires_capture"
PROCESSING, SUCCEEDED, CANCELED = "processing", "succeeded", "canceled"

# The money is in transit or received: never replace, update or fail over (rule 11).
TAKEN = frozenset({PROCESSING, REQUIRES_CAPTURE, SUCCEEDED})

# The name in a PaymentIntent's metadata under which the service writes the payment that took the
# order's money at another gateway, such as `paypal:5O190127TN364715T` (rule 22).
MOVED_TO = "moved_to"

# Final statuses.
OVER = frozenset({CANCELED, SUCCEEDED})

STATUSES = TAKEN | {
    CANCELED,
    "requires_payment_method",
    "requires_confirmation",
    REQUIRES_ACTION,
}


class Failure(Struct, frozen=True):
    """A failed payment.

    `name` distinguishes it from the other failures of the PaymentIntent. `code` is the gateway's
    code for the reason.
    """

    name: str
    code: str | None


class Intent(Struct, frozen=True):
    """One PaymentIntent as the gateway returned it. `created`: Unix seconds, gateway clock.

    At a gated gateway `client_secret` is empty, and `redirect_url` is the page on which the
    shopper approves the payment; None if the gateway's answer shows none.
    """

    id: str
    client_secret: str
    status: str
    amount: int | None
    currency: str | None
    created: int
    metadata: Mapping[str, str]
    livemode: bool = False
    amount_received: int | None = None
    amount_capturable: int | None = None
    manual_capture: bool = False
    """Whether a confirmation only holds the money, until the shop captures it."""
    given_back: bool = False
    """Whether a gated gateway shows that all of its money was refunded."""
    failure: Failure | None = None
    """The last failed payment, if the gateway still shows one."""
    missing: bool = False
    """Whether the gateway has deleted it: test data only. The other fields are the last known."""
    redirect_url: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The gateway's own object, for gateway-specific code. The rules never read it."""

    def __repr__(self) -> str:
        """Show neither the client_secret nor the page of the shopper's approval."""
        return f"Intent(id={self.id!r}, status={self.status!r}, amount={self.amount!r})"

    @property
    def payable(self) -> bool:
        """Whether the shopper can still pay it, or has paid it."""
        return self.status != CANCELED

    def is_of(self, order: Order) -> bool:
        """Whether the metadata names this order."""
        return names_order(self.metadata, order)

    def costs(self, params: Mapping[str, Any]) -> bool:
        """Whether its amount and currency equal those of the parameters."""
        return (self.amount, self.currency) == (params["amount"], params["currency"])

    def fits(self, params: Mapping[str, Any]) -> bool:
        """Whether its price, and the time of its capture, are those of the parameters."""
        is_manual = params.get("capture_method") == "manual"
        return self.costs(params) and self.manual_capture == is_manual

    def asks_otherwise(self, params: Mapping[str, Any]) -> bool:
        """Whether it still asks the shopper for another amount or currency than the parameters.

        False once the payment is taken: it then asks the shopper for nothing.
        """
        return self.shows_otherwise(params) and self.status not in TAKEN

    def shows_otherwise(self, params: Mapping[str, Any]) -> bool:
        """Whether its amount or currency is known and differs from the parameters."""
        said = {"amount": self.amount, "currency": self.currency}
        return any(value is not None and value != params[name] for name, value in said.items())


def names_order(metadata: object, order: Order) -> bool:
    """Whether the metadata of a PaymentIntent names this order."""
    if not isinstance(metadata, Mapping):
        return False
    named = metadata.get("order_id"), metadata.get("client_id")
    return named == (order.order_id, order.client_id)
