"""Deliver the events in the records' outboxes: at least once, in sequence for each order.

The store writes an event in the same operation as the state that it reports, so that neither
exists without the other. A deliverer first claims the event: it moves `next_at` by a replace, so
that several deliverers share the work. If it dies before the delivery, another one tries again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from payment_service.key_store.contract import KeyRecord, KeyStore, Order
from payment_service.payments.observer import Fact, Happening, Observe, What, ignore
from payment_service.payments.record import transitions
from payment_service.payments.record.due import due_for
from payment_service.payments.record.follow_up import OrderEvent, follow_up_of, with_follow_up
from payment_service.payments.shop_events.catalogue import KEEP_TRYING_SECONDS

# Back-off: first wait, doubled each time, and its cap. A shop that recovers gets its events within
# about an hour.
FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 1.0, 3600.0
JITTER = (0.75, 1.25)

# How long a deliverer has an event to itself: longer than a post may last.
CLAIM_SECONDS = 30.0

# How often a deliverer retries the write of an outcome when it loses a race for the record.
MAX_TRIES = 10

Post = Callable[[Order, bytes], int | None]
"""Posts a body to the order's shop; returns the HTTP status, None if there was no answer."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Delivers the events of one store. It has no state, so any number of processes may run it.

    `ours`: which orders' events to deliver; the store may hold the other mode's orders, too.
    """

    store: KeyStore
    post: Post
    clock: Callable[[], float]
    observe: Observe = ignore
    uniform: Callable[[float, float], float] = random.uniform
    ours: Callable[[Order], bool] = lambda _: True

    def waiting(self, limit: int) -> list[KeyRecord]:
        """Return records with an event due, in random order: see `deliver`."""
        now = self.clock()
        due = due_for(
            self.store, now, limit, lambda each: _has_event(each, now) and self.ours(each.order)
        )
        # Shuffled, so that several deliverers seldom compete for the same record.
        return random.sample(due, len(due))

    def deliver(self, record: KeyRecord) -> bool:
        """Post the next event of a record; return whether the shop accepted it.

        Also False if another deliverer has claimed it.
        """
        event, now = follow_up_of(record).next_event, self.clock()
        if event is None or event.next_at > now:
            return False
        mine = replace(event, tries=event.tries + 1, next_at=now + CLAIM_SECONDS)
        if not self.store.replace(record, _with_event(record, mine)):
            return False
        status = self.post(record.order, payload(record, event))
        taken = status is not None and 200 <= status < 300
        self._write(record, mine, status, taken=taken)
        return taken

    def _write(
        self, record: KeyRecord, event: OrderEvent, status: int | None, *, taken: bool
    ) -> None:
        """Record the outcome; if that fails, the event is posted once more."""
        for _ in range(MAX_TRIES):
            found = self.store.read(record.order)
            if found is None or event not in follow_up_of(found).queue:
                return
            after = self._told(found, event) if taken else self._failed(found, event, status)
            if self.store.replace(found, after):
                return

    def _told(self, record: KeyRecord, event: OrderEvent) -> KeyRecord:
        self._saw("event_delivered", record, event, None)
        told = transitions.touched(record, self.clock(), "told the shop", type=event.type)
        queue = tuple(each for each in follow_up_of(record).queue if each.id != event.id)
        return with_follow_up(told, queue=queue)

    def _failed(self, record: KeyRecord, event: OrderEvent, status: int | None) -> KeyRecord:
        now = self.clock()
        if now >= event.until:
            self._saw("event_parked", record, event, status)
            noted = transitions.touched(record, now, "gave up telling the shop", type=event.type)
            return with_follow_up(noted, queue=_changed(noted, replace(event, parked=True)))
        self._saw("event_failed", record, event, status)
        backoff = FIRST_WAIT_SECONDS * 2.0 ** min(event.tries - 1, 30)
        wait = min(backoff, MOST_WAIT_SECONDS) * self.uniform(*JITTER)
        return _with_event(record, replace(event, next_at=now + wait))

    def _saw(self, what: What, record: KeyRecord, event: OrderEvent, status: int | None) -> None:
        facts: dict[str, Fact] = {
            "event_id": event.id,
            "type": event.type,
            "tries": event.tries,
            "status": status,
        }
        self.observe(Happening(what, record.order, record.attempt, facts))


def _has_event(record: KeyRecord, now: float) -> bool:
    event = follow_up_of(record).next_event
    return event is not None and event.next_at <= now


def unparked(store: KeyStore, now: float, *, livemode: bool) -> int:
    """Retry a mode's parked events for three more days; return their number."""
    count = 0
    for record in store.scan():
        if record.order.livemode != livemode:
            continue
        queue = follow_up_of(record).queue
        parked = [event for event in queue if event.parked]
        if parked:
            again = tuple(
                replace(event, parked=False, until=now + KEEP_TRYING_SECONDS, tries=0, next_at=now)
                if event.parked
                else event
                for event in queue
            )
            changed = with_follow_up(replace(record, version=record.version + 1), queue=again)
            count += len(parked) if store.replace(record, changed) else 0
    return count


def payload(record: KeyRecord, event: OrderEvent) -> bytes:
    """Return the body of an event: Stripe's format, and the same bytes on each try."""
    body: dict[str, Any] = {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "created": int(event.at),
        "livemode": record.order.livemode,
        "data": {"object": {"object": "order", **event.facts}},
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _with_event(record: KeyRecord, event: OrderEvent) -> KeyRecord:
    """Return the record with only the outbox changed; even `updated_at` stays."""
    return with_follow_up(
        replace(record, version=record.version + 1), queue=_changed(record, event)
    )


def _changed(record: KeyRecord, event: OrderEvent) -> tuple[OrderEvent, ...]:
    queue: Iterable[OrderEvent] = follow_up_of(record).queue
    return tuple(event if each.id == event.id else each for each in queue)
