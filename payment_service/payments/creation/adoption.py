"""Choose the order's own PaymentIntent among those that a look-up found (rule 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from payment_service.gateways.intent import TAKEN, Intent


class Adoption(Struct, frozen=True):
    """`strays`: the other payable PaymentIntents, whose client_secret no client was given."""

    chosen: Intent | None
    strays: tuple[Intent, ...]


def choose(found: Iterable[Intent], params: Mapping[str, Any]) -> Adoption:
    """Choose the PaymentIntent whose payment is taken, else the newest payable one.

    A payable one with another amount than the attempt's, or with another capture method, belongs to
    another attempt. The shopper would pay a wrong price with it, or at the wrong time, so it is a
    stray.
    """
    payable = sorted(
        (intent for intent in found if intent.payable),
        key=lambda intent: (intent.status in TAKEN, intent.created, intent.id),
        reverse=True,
    )
    chosen = next((i for i in payable if i.status in TAKEN or i.fits(params)), None)
    return Adoption(chosen, tuple(i for i in payable if i is not chosen and i.status not in TAKEN))
