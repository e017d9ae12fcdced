"""A request for a PaymentIntent: JSON in, a checked and normalised value out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from payment.complaints import bad_request
from payment.currencies import MAX_AMOUNT, MIN_AMOUNT, check_amount, currency_code
from payment.metadata import check_room, checked_metadata
from payment.method_options import checked_options
from payment.method_types import check_types, checked_types, types_param
from payment.text import descriptor_suffix, email, free_text, order_name

Fields = TypeVar("Fields", bound=BaseModel)

OrderName = Annotated[str, BeforeValidator(order_name)]

# Sent to Stripe under their own names, where they were given.
_AS_STRIPES = (
    "payment_method_options",
    "description",
    "receipt_email",
    "customer",
    "capture_method",
    "setup_future_usage",
    "statement_descriptor_suffix",
)


_to_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class OrderFields(BaseModel):
    """What both a creation and an update may say, normalised: two that mean the same are equal.

    Each description is the rule that a client is told when the field breaks it.
    """

    # Built with the first of its kind; a creation is ready for its first.
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )

    amount: int = Field(
        ge=MIN_AMOUNT,
        le=MAX_AMOUNT,
        description=f"must be an integer from {MIN_AMOUNT} to {MAX_AMOUNT}, "
        "in the smallest unit of the currency",
    )
    order_id: OrderName
    client_id: OrderName | None = None
    payment_method_types: Annotated[list[str], AfterValidator(checked_types)] | None = Field(
        None, description='must be a list of Stripe\'s types, like ["card"]'
    )
    payment_method_options: Annotated[dict[str, Any], AfterValidator(checked_options)] | None = (
        Field(None, description="must be an object of types to their options")
    )
    metadata: Annotated[dict[str, str], AfterValidator(checked_metadata)] | None = Field(
        None, description="must be an object of names to texts; put numbers in quotes"
    )
    description: Annotated[str, AfterValidator(free_text)] | None = Field(
        None, min_length=1, max_length=1000, description="must be text of 1 to 1000 characters"
    )
    receipt_email: Annotated[str, AfterValidator(email)] | None = Field(
        None, max_length=512, description="must be an e-mail address of at most 512 characters"
    )
    customer: str | None = Field(
        None,
        pattern="^cus_[A-Za-z0-9_]{1,250}$",
        description="must be the id of a Customer, like cus_NffrFeUfNV2Hib",
    )
    capture_method: Literal["automatic", "automatic_async", "manual"] | None = Field(
        None, description="must be automatic, automatic_async or manual"
    )
    setup_future_usage: Literal["on_session", "off_session"] | None = Field(
        None, description="must be on_session or off_session"
    )
    statement_descriptor_suffix: Annotated[str, AfterValidator(descriptor_suffix)] | None = Field(
        None, min_length=1, max_length=22, description="must be text of 1 to 22 characters"
    )

    def given_params(self, api_version: str) -> dict[str, Any]:
        """Return what is sent to Stripe of the fields that are named as Stripe's."""
        return {
            **types_param(self.payment_method_types, api_version),
            **_given({name: getattr(self, name) for name in _AS_STRIPES}),
        }

    def canonical(self) -> str:
        """Return the request as one JSON text.

        Names sorted, defaults written out, absent and empty fields left out: it stays the same
        across a deploy that adds an optional field.
        """
        given = _given(self.model_dump())
        return _to_json(given)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical request, hexadecimal."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


class PaymentRequest(OrderFields):
    """What a client asks for."""

    model_config = ConfigDict(defer_build=False)

    currency: Annotated[str, AfterValidator(currency_code)] = Field(
        "usd", description="must be the three letters of a currency, like usd"
    )

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        check_amount(self.amount, self.currency)
        check_room(self.metadata, 1 if self.client_id is None else 2)
        options = self.payment_method_options or {}
        check_types(self.payment_method_types or [], self.currency, options)
        return self

    def stripe_params(self, api_version: str) -> dict[str, Any]:
        """Return what is sent to Stripe: the same request gives the same text, name by name."""
        ours = {"order_id": self.order_id, "client_id": self.client_id}
        return {
            "amount": self.amount,
            "currency": self.currency,
            "metadata": {**(self.metadata or {}), **_given(ours)},
            **self.given_params(api_version),
        }


def check_request(given: Mapping[str, Any], kind: type[Fields]) -> Fields:
    """Return a JSON object as a request of any kind, checked.

    Null counts as absent, as clients' libraries often write it. Raises BadRequest:
    missing_parameter or invalid_parameter.
    """
    said = {name: value for name, value in given.items() if value is not None}
    try:
        return kind.model_validate(said)
    except ValidationError as wrong:
        raise bad_request(wrong, kind) from None


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, {})}
