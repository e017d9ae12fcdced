"""What a record keeps of its order after creation, as one JSON text in `KeyRecord.follow_up`.

    history    what happened, see payments.record.history
    webhooks   ids of Stripe's events that were applied
    told       names of what the shop was told, or is about to be
    queue      events on their way to the shop: the outbox
    price      amount and currency when last seen
    changes    updates of the PaymentIntent: the last one, those before it, the one under way
    refused    an attempt whose key may hold a no of Stripe's to other parameters
    looks      when to look for what an attempt that was given up may have made after all
    ending     PaymentIntents that are not the order's and are canceled: none is recorded any more

Written together with the state that it follows from, in one KeyStore.replace: that is the
transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from payment_service.key_store.contract import KeyRecord

# Stripe sends an event again for three days; an order has a handful of them.
MAX_WEBHOOKS = 20

# Beyond what was paid, which is kept for ever.
MAX_TOLD = 20

# A cancellation lasts seconds, and an order has a stray or none.
MAX_ENDING = 20

# A late copy of an update is recognised among this many of the last ones.
MAX_CHANGES = 20


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One thing that the shop is told. `facts` is the payload's object; instants in Unix seconds.

    `until` is when it is given up; it is `parked` then, and a person must look.
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
    """An update of the PaymentIntent that was sent, or may have been.

    `sent` is SentParams' text, kept byte for byte; `until` is when its sender's time is over.
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
    """All of it but the history, which is passed through."""

    webhooks: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    queue: tuple[OrderEvent, ...] = ()
    amount: int | None = None
    currency: str | None = None
    revision: int = 0
    """The last update that Stripe has applied; 0 before the first."""
    last_revision: int = 0
    """The last number that was given to an update, applied or not."""
    sent: tuple[str, ...] = ()
    """Fingerprints of the updates that were sent, the newest last."""
    pending: Change | None = None
    history: tuple[Mapping[str, Any], ...] = field(default=())
    refused: int = 0
    """The attempt that Stripe said no to, and that was sent again with other parameters."""
    looks: tuple[float, ...] = ()
    """Instants, the next one first."""
    look_since: float = 0.0
    """When the first of the attempts that were given up was sent first."""
    ending: tuple[str, ...] = ()
    """Written down before the first of them is canceled, so that nobody adopts it meanwhile."""
    look_until: float = 0.0
    """When the last of them was given up."""

    @property
    def due_at(self) -> float | None:
        """When the first event wants to be delivered, or the next look to be taken."""
        waiting = self.next_event
        instants = [*self.looks[:1], *([waiting.next_at] if waiting else [])]
        return min(instants, default=None)

    @property
    def next_event(self) -> OrderEvent | None:
        """The event that is delivered next: an order's events go out in their order."""
        return next((event for event in self.queue if not event.parked), None)

    def text(self) -> str:
        """Return the JSON text; what is empty is left out."""
        kept = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(kept, separators=(",", ":"))


_KINDS = (FollowUp, Change, OrderEvent)
_NAMES: dict[type, set[str]] = {kind: {each.name for each in fields(kind)} for kind in _KINDS}


def follow_up_of(record: KeyRecord) -> FollowUp:
    """Read a record's follow-up. What a newer version has written beside it is left out."""
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
    """Return the record with these fields of its follow-up changed; the version is the caller's."""
    changed = replace(follow_up_of(record), **changes)
    return replace(record, follow_up=changed.text(), due_at=changed.due_at)
