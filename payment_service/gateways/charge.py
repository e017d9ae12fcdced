"""The money behind a PaymentIntent: what is held, taken and given back."""

from __future__ import annotations

from msgspec import Struct


class Charge(Struct, frozen=True):
    """The last attempt to pay a PaymentIntent, as the gateway shows it.

    `capture_before`: when the authorization lapses (Unix seconds, gateway clock), None unless it
    waits for its capture. `amount_refunded` includes refunds that are pending.
    """

    id: str
    intent_id: str
    amount_captured: int
    amount_refunded: int
    disputed: bool
    capture_before: int | None = None

    @property
    def left(self) -> int:
        """The amount that can still be refunded, if no dispute forbids it."""
        return self.amount_captured - self.amount_refunded
