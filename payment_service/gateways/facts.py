"""A provider's promises about keys, saved errors and lists, as far as the rules need them."""

from __future__ import annotations

from dataclasses import dataclass

# Kept from the life of a key: clocks differ, and a request may still be under way.
KEY_MARGIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """One provider's promises.

    `name`: how settings and records name the provider. `key_life_seconds`: how long it keeps an
    idempotency key at least; afterwards the key makes a new object. `saves_errors`: whether a key
    answers with the saved 5xx of its first send. `list_is_current`: whether its list shows a
    PaymentIntent as soon as it is made.
    """

    name: str
    key_life_seconds: float
    saves_errors: bool
    list_is_current: bool

    @property
    def key_is_safe_seconds(self) -> float:
        """For how long after its first use a key may be sent again without a look-up before."""
        return self.key_life_seconds - KEY_MARGIN_SECONDS
