"""The charge of a PaymentIntent: what its last attempt to pay holds."""

from __future__ import annotations

from msgspec import Struct


class Charge(Struct, frozen=True):
    """The last attempt to pay a PaymentIntent, as the gateway shows it.

    `capture_before`: when the authorization lapses (Unix seconds, gateway clock), None unless it
    waits for its capture.
    """

    id: str
    intent_id: str
    capture_before: int | None = None
