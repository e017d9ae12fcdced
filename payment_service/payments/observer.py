"""What the rules tell whoever keeps logs and metrics: they themselves know neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from payment_service.key_store.contract import Order

Fact = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to an order. `what` is one of a few words, to be counted by.

    claimed, waited, taken_over, created, replayed, adopted, rejected, unknown, next_attempt,
    put_off, stale_owner, unrecorded, stray_canceled, stray_left, two_taken, shared; after creation:
    webhook, stray_paid, updated, canceled, event_delivered, event_failed, event_parked.
    """

    what: str
    order: Order
    attempt: int
    facts: Mapping[str, Fact] = field(default_factory=dict)


# A person must look: money was taken that should not have been, or the shop was never told.
ALARMS = frozenset({"two_taken", "stray_paid", "event_parked"})

# All that happens to an order which meets with nothing on its way.
EXPECTED = frozenset({"claimed", "created", "replayed", "shared"})

Observe = Callable[[Happening], None]


def ignore(_: Happening) -> None:
    """Observe nothing."""
