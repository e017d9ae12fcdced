"""Requests about an order that exists: which order, and what is to change."""

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
    """Which order is meant."""

    order_id: OrderName
    client_id: OrderName | None = None


class CancelRequest(OrderRequest, frozen=True, kw_only=True):
    """Which order is to be canceled, and why."""

    reason: Reason = "requested_by_customer"


class UpdateRequest(OrderFields, frozen=True, kw_only=True):
    """What the order's PaymentIntent is to be from now on; what is absent stays as it is.

    `expected_amount` and `expected_revision` are what the caller takes the order for: if it is
    something else by now, nothing changes. Stripe merges `metadata` name by name.
    """

    currency: Currency | None = None
    expected_amount: Amount | None = None
    expected_revision: Revision | None = None

    @property
    def without_revision(self) -> str:
        """The fingerprint of what is asked for: the same for a late copy."""
        return replace(self, expected_revision=None).fingerprint


class StatusRequest(OrderRequest, frozen=True, kw_only=True):
    """Which order is asked for; `refresh` asks Stripe first."""

    refresh: Annotated[Literal["true", "false"], rule("must be true or false")] = "false"
