"""The fields of a shop's request that a gateway translates to its own parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Unsuited(ValueError):
    """A gateway cannot take the order, because of the field that this names.

    Unlike a BadRequest, it is no fault of the caller's: another gateway can take the order.
    """

    def __init__(self, field: str) -> None:
        super().__init__(f"the gateway cannot take the order because of {field}")
        self.field = field


class PaymentFields(Protocol):
    """A checked and normalised request: equivalent requests have equal fields; absent is None."""

    @property
    def amount(self) -> int:
        """In the smallest unit of the currency."""
        ...

    @property
    def order_id(self) -> str:
        """The order, which the payment's metadata must name."""
        ...

    @property
    def client_id(self) -> str | None:
        """Whose order it is; the metadata names it too."""
        ...

    @property
    def currency(self) -> str | None:
        """ISO 4217, in lower case."""
        ...

    @property
    def payment_method_types(self) -> Sequence[str] | None:
        """The types to offer; None lets the gateway choose."""
        ...

    @property
    def payment_method_options(self) -> Mapping[str, Any] | None:
        """Options by type."""
        ...

    @property
    def metadata(self) -> Mapping[str, str] | None:
        """The shop's own names and values."""
        ...

    @property
    def description(self) -> str | None: ...

    @property
    def receipt_email(self) -> str | None: ...

    @property
    def customer(self) -> str | None: ...

    @property
    def capture_method(self) -> str | None: ...

    @property
    def setup_future_usage(self) -> str | None: ...

    @property
    def statement_descriptor_suffix(self) -> str | None: ...
