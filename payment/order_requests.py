"""Requests about an order that exists: which order, and what is to change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from payment.currencies import MAX_AMOUNT, MIN_AMOUNT, currency_code
from payment.request import OrderFields, OrderName

Reason = Literal["duplicate", "fraudulent", "requested_by_customer", "abandoned"]


class OrderRequest(BaseModel):
    """Which order is meant."""

    # Built with the first of its kind: no start needs to wait for it.
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )

    order_id: OrderName
    client_id: OrderName | None = None


class CancelRequest(OrderRequest):
    """Which order is to be canceled, and why."""

    reason: Reason = Field(
        "requested_by_customer",
        description="must be duplicate, fraudulent, requested_by_customer or abandoned",
    )


class UpdateRequest(OrderFields):
    """What the order's PaymentIntent is to be from now on; what is absent stays as it is.

    `expected_amount` and `expected_revision` are what the caller takes the order for: if it is
    something else by now, nothing changes. Stripe merges `metadata` name by name.
    """

    currency: Annotated[str, AfterValidator(currency_code)] | None = Field(
        None, description="must be the three letters of a currency, like usd"
    )
    expected_amount: int | None = Field(
        None,
        ge=MIN_AMOUNT,
        le=MAX_AMOUNT,
        description=f"must be an integer from {MIN_AMOUNT} to {MAX_AMOUNT}",
    )
    expected_revision: int | None = Field(
        None, ge=0, le=2**31, description="must be the revision of the last answer, 0 at first"
    )

    @property
    def without_revision(self) -> str:
        """The fingerprint of what is asked for: the same for a late copy."""
        return self.model_copy(update={"expected_revision": None}).fingerprint


class StatusRequest(OrderRequest):
    """Which order is asked for; `refresh` asks Stripe first."""

    refresh: Literal["true", "false"] = Field("false", description="must be true or false")
