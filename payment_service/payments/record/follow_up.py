"""Data that a record keeps about its order after creation: one JSON text in `KeyRecord.follow_up`.

    history    the steps of the order so far, see payments.record.history
    webhooks   ids of the Stripe events that the service has applied
    told       names of the shop events that are sent or queued
    queue      events on their way to the shop: the outbox
    price      amount and currency when last seen
    changes    updates of the PaymentIntent: the last one, those before it, the pending one
    refused    an attempt whose key may hold Stripe's rejection of other parameters
    looks      when to look for a PaymentIntent that an abandoned attempt may have created late
    ending     PaymentIntents that the service cancels as not the order's; none is recorded again

One KeyStore.replace writes the follow-up together with the state that it follows from: that is
the transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from payment_service.key_store.contract import KeyRecord

# Stripe retries an event for three days; an order has a handful of events.
MAX_WEBHOOKS = 20

# Besides the names of paid events, which are kept permanently.
MAX_TOLD = 20

# A cancellation takes seconds, and an order rarely has more than one stray.
MAX_ENDING = 20

# The service recognises a late copy of any of this many recent updates.
MAX_CHANGES = 20


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One event for the shop. `facts` is the payload's object; instants are in Unix seconds.

    At `until` the outbox gives up and sets `parked`; then a person must look.
    """

    id: str
    type: str
    at: float
    facts: Mapping[str, Any]
    tries: int = 0
    next_at: float = 0.0
    until: float = 0.0
    parked: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """An update of the PaymentIntent that the service has sent, or may have sent.

    `sent` is the text of its SentParams, byte for byte; `until` is when its sender's lock expires.
    """

    revision: int
    attempt: int
    fingerprint: str
    sent: str
    key: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The parsed follow-up. The history is passed through unparsed."""

    webhooks: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    queue: tuple[OrderEvent, ...] = ()
    amount: int | None = None
    currency: str | None = None
    revision: int = 0
    """The last update that Stripe has applied; 0 before the first."""
    last_revision: int = 0
    """The number of the newest update, applied or not."""
    sent: tuple[str, ...] = ()
    """Fingerprints of the updates sent, newest last."""
    pending: Change | None = None
    history: tuple[Mapping[str, Any], ...] = field(default=())
    refused: int = 0
    """The attempt that Stripe rejected and that was then sent again with other parameters."""
    looks: tuple[float, ...] = ()
    """When to take the late look-ups, the next one first."""
    look_since: float = 0.0
    """When the earliest abandoned attempt was first sent."""
    ending: tuple[str, ...] = ()
    """Recorded before the first of them is canceled, so that no request adopts one meanwhile."""
    look_until: float = 0.0
    """When the latest abandoned attempt was given up."""

    @property
    def due_at(self) -> float | None:
        """When the next event or the next late look-up is due."""
        waiting = self.next_event
        instants = [*self.looks[:1], *([waiting.next_at] if waiting else [])]
        return min(instants, default=None)

    @property
    def next_event(self) -> OrderEvent | None:
        """The event to deliver next: the events of one order go out in sequence."""
        return next((event for event in self.queue if not event.parked), None)

    def text(self) -> str:
        """Return the JSON text without the empty fields."""
        kept = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(kept, separators=(",", ":"))


_KINDS = (FollowUp, Change, OrderEvent)
_NAMES: dict[type, set[str]] = {kind: {each.name for each in fields(kind)} for kind in _KINDS}


def follow_up_of(record: KeyRecord) -> FollowUp:
    """Read a record's follow-up. Ignore fields that a newer version of the service has added."""
    given: dict[str, Any] = json.loads(record.follow_up) if record.follow_up else {}
    kept = _known(FollowUp, given)
    pending = kept.pop("pending", None)
    lists = {name: tuple(value) for name, value in kept.items() if isinstance(value, list)}
    lists["queue"] = tuple(OrderEvent(**_known(OrderEvent, each)) for each in kept.get("queue", ()))
    change = Change(**_known(Change, pending)) if pending else None
    return FollowUp(**{**kept, **lists, "pending": change})


def _known(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in _NAMES[kind]}


def with_follow_up(record: KeyRecord, **changes: Any) -> KeyRecord:
    """Return the record with these follow-up fields changed; the caller sets the version."""
    changed = replace(follow_up_of(record), **changes)
    return replace(record, follow_up=changed.text(), due_at=changed.due_at)
