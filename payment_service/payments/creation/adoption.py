"""Which of the PaymentIntents found for an order is its own (rule 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from payment_service.gateways.intent import TAKEN, Intent


@dataclass(frozen=True, slots=True)
class Adoption:
    """`strays`: the others that could still be paid; nobody was given their client_secret."""

    chosen: Intent | None
    strays: tuple[Intent, ...]


def choose(found: Iterable[Intent], params: Mapping[str, Any]) -> Adoption:
    """Choose the one whose payment is taken before all, else the newest payable one.

    A payable one with another amount than the attempt's is of an earlier attempt that came to
    nothing: it would ask the shopper for a wrong price, so it is a stray.
    """
    payable = sorted(
        (intent for intent in found if intent.payable),
        key=lambda intent: (intent.status in TAKEN, intent.created, intent.id),
        reverse=True,
    )
    chosen = next((i for i in payable if i.status in TAKEN or i.costs(params)), None)
    return Adoption(chosen, tuple(i for i in payable if i is not chosen and i.status not in TAKEN))
