"""Requests about an existing order: status, update and cancellation."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Struct
from msgspec.structs import replace

from payment_service.payments.request.create import Amount, Currency, OrderFields, OrderName
from payment_service.schema.fields import rule

Reason = Annotated[
    Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"],
    rule("must be duplicate, fraudulent, requested_by_customer or abandoned"),
]
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


class StatusRequest(OrderRequest, frozen=True, kw_only=True):
    """A request for an order's status; with `refresh`, the service calls Stripe first."""

    refresh: Annotated[Literal["true", "false"], rule("must be true or false")] = "false"
