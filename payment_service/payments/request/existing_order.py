"""Requests about an existing order: status, update, cancellation, capture and refund."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from msgspec import Struct
from msgspec.structs import replace

from payment_service.payments.request.create import (
    Amount,
    Currency,
    Metadata,
    OrderFields,
    OrderName,
)
from payment_service.payments.request.metadata import MAX_NAMES
from payment_service.schema.fields import rule

Reason = Annotated[
    Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"],
    rule("must be duplicate, fraudulent, requested_by_customer or abandoned"),
]
RefundReason = Annotated[
    Literal["duplicate", "fraudulent", "requested_by_customer"],
    rule("must be duplicate, fraudulent or requested_by_customer"),
]
# The service adds order_id, client_id and refund_id to a refund's metadata.
MAX_REFUND_METADATA = MAX_NAMES - 3
Revision = Annotated[
    int, rule("must be the revision of the last answer, 0 at first", ge=0, le=2**31)
]


class OrderRequest(Struct, frozen=True, kw_only=True):
    """A request that names an order."""

    order_id: OrderName
    client_id: OrderName | None = None


class CancelRequest(OrderRequest, frozen=True, kw_only=True):
    """A request to cancel an order, with the reason."""

    reason: Reason = "requested_by_customer"


class UpdateRequest(OrderFields, frozen=True, kw_only=True):
    """A request to change an order's PaymentIntent; absent fields keep their values.

    `expected_amount` and `expected_revision` are the state that the caller expects: if the order
    has another one, nothing changes. Stripe merges `metadata` name by name.
    """

    currency: Currency | None = None
    expected_amount: Amount | None = None
    expected_revision: Revision | None = None

    @property
    def without_revision(self) -> str:
        """The fingerprint without `expected_revision`: a late copy has the same one."""
        return replace(self, expected_revision=None).fingerprint

    def filled(self, currency: str, description: str | None) -> Self:
        """Return the update with these values of the order for the fields that it leaves out."""
        return replace(
            self,
            currency=self.currency or currency,
            description=self.description or description,
        )


class CaptureRequest(OrderRequest, frozen=True, kw_only=True):
    """A request to capture an order's authorization; without an amount, all of it."""

    amount_to_capture: Amount | None = None


class RefundRequest(OrderRequest, frozen=True, kw_only=True):
    """A request to refund an order; without an amount, all that is left.

    `refund_id` is the caller's own name for this refund of this order.
    """

    refund_id: OrderName
    amount: Amount | None = None
    reason: RefundReason | None = None
    metadata: Metadata | None = None

    def __post_init__(self) -> None:
        """Check the metadata against the names that the service adds. Raises ValueError."""
        metadata = self.metadata or {}
        if "refund_id" in metadata:
            raise ValueError(
                "metadata: must not hold refund_id: it is added from the field refund_id itself"
            )
        if len(metadata) > MAX_REFUND_METADATA:
            raise ValueError(f"metadata: may have at most {MAX_REFUND_METADATA} names here")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the parameters, hexadecimal: equal for equal requests."""
        given = [self.amount, self.reason, self.metadata or {}]
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()

    def params(self, amount: int) -> dict[str, Any]:
        """Return the gateway's parameters; the same request and amount give the same text."""
        named = {
            "order_id": self.order_id,
            "client_id": self.client_id,
            "refund_id": self.refund_id,
        }
        ours = {name: value for name, value in named.items() if value is not None}
        reason = {"reason": self.reason} if self.reason else {}
        return {"amount": amount, **reason, "metadata": {**(self.metadata or {}), **ours}}


class StatusRequest(OrderRequest, frozen=True, kw_only=True):
    """A request for an order's status; with `refresh`, the service calls Stripe first."""

    refresh: Annotated[Literal["true", "false"], rule("must be true or false")] = "false"
