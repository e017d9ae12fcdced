"""Observation of the payment rules: logs, metrics and traces subscribe; the rules know none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct, field

from payment_service.key_store.contract import Order

Fact = str | int | float | bool | None

What = Literal[
    "claimed",
    "waited",
    "taken_over",
    "created",
    "replayed",
    "adopted",
    "rejected",
    "unknown",
    "next_attempt",
    "put_off",
    "stale_owner",
    "unrecorded",
    "stray_canceled",
    "stray_left",
    "two_taken",
    # The second gateway.
    "switched",
    "account_refused",
    "failover_unsuited",
    "leftover_canceled",
    "leftover_left",
    # After the creation.
    "webhook",
    "stray_paid",
    "updated",
    "canceled",
    "gone",
    "freed",
    "event_delivered",
    "event_failed",
    "event_parked",
    # After the payment.
    "captured",
    "capture_rejected",
    "capture_unknown",
    "capture_stuck",
    "paid_before",
    "refunded",
    "refund_adopted",
    "refund_rejected",
    "refund_unknown",
    "refund_failed",
    "refunded_twice",
    "dispute_opened",
    "dispute_closed",
]
"""Every event. A closed set: the metrics count each from the start of a process."""


class Observation(Struct, frozen=True):
    """A step in the life of an order. `what` is a metric label."""

    what: What
    order: Order
    attempt: int
    facts: Mapping[str, Fact] = field(default_factory=dict)


# A person must look: a payment was or may yet be taken by mistake, or was given back by mistake, or
# the shop never received an event, or a gateway refuses our account.
ALARMS = frozenset(
    {
        "two_taken",
        "stray_paid",
        "stray_left",
        "event_parked",
        "refunded_twice",
        "capture_stuck",
        "paid_before",
        "account_refused",
    }
)

# The events of an order without any trouble.
EXPECTED = frozenset({"claimed", "created", "replayed"})

Observe = Callable[[Observation], None]


def ignore(_: Observation) -> None:
    """Observe nothing."""
