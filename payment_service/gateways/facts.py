"""A provider's guarantees about idempotency keys, saved errors and lists."""

from __future__ import annotations

from msgspec import Struct

# Nothing appears at a gateway later than this after its send ended: neither a request that is still
# under way, nor the object of a 500 (docs/exactly-once.md, Assumptions).
LATEST_ARRIVAL_SECONDS = 3600.0


class GatewayFacts(Struct, frozen=True):
    """The guarantees of one provider.

    `name`: the provider's name in settings and records. `key_life_seconds`: the minimum time for
    which it keeps an idempotency key; afterwards the key creates a new object. `saves_errors`:
    whether a resend under a key returns the saved 5xx of its first send. `list_is_current`:
    whether its list shows a PaymentIntent as soon as it is created; false if it has no list.
    `gated`: whether a payment needs a capture by us after the shopper has approved it. At a gated
    gateway, nothing that left the service can move money.
    """

    name: str
    key_life_seconds: float
    saves_errors: bool
    list_is_current: bool
    gated: bool = False

    @property
    def key_is_safe_seconds(self) -> float:
        """How long after its first use a key may be resent without a look-up first.

        The margin is for a resend that is still under way, and for clocks that differ.
        """
        return self.key_life_seconds - LATEST_ARRIVAL_SECONDS
