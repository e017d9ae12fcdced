"""Deliver what waits in the records' outboxes: at least once, in each order's own order.

An event was written in the same store operation as the state that it tells of, so that neither
is without the other. Whoever delivers it first moves its time by a replace, so that several
deliverers share the work; one that dies in between leaves it for the next to try again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from payment_service.key_store.contract import KeyRecord, KeyStore, Order
from payment_service.payments.observer import Fact, Happening, Observe, ignore
from payment_service.payments.record import transitions
from payment_service.payments.record.due import due_for
from payment_service.payments.record.follow_up import OrderEvent, follow_up_of, with_follow_up
from payment_service.payments.shop_events.catalogue import KEEP_TRYING_SECONDS

# The first wait, doubled each time, and its most: a shop that comes back is told within an hour.
FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 1.0, 3600.0
JITTER = (0.75, 1.25)

# While one deliverer is at it, no other is: longer than a post may last.
CLAIM_SECONDS = 30.0

# How often the outcome of a post is written again when somebody else wrote to the record.
MAX_TRIES = 10

Post = Callable[[bytes], int | None]
"""Posts a body to the shop; returns the HTTP status, None where there was no answer."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Delivers from one store to one shop; holds no state, so that any number may do it.

    `ours`: whose events the shop is told; the store may hold the other mode's, too.
    """

    store: KeyStore
    post: Post
    clock: Callable[[], float]
    observe: Observe = ignore
    uniform: Callable[[float, float], float] = random.uniform
    ours: Callable[[Order], bool] = lambda _: True

    def waiting(self, limit: int) -> list[KeyRecord]:
        """Return records with an event whose time has come, in no order: see `deliver`."""
        now = self.clock()
        due = due_for(
            self.store, now, limit, lambda each: _has_event(each, now) and self.ours(each.order)
        )
        # Several deliverers begin at different ends.
        return random.sample(due, len(due))

    def deliver(self, record: KeyRecord) -> bool:
        """Post the next event of a record; tell whether the shop took it.

        False too where another deliverer has it.
        """
        event, now = follow_up_of(record).next_event, self.clock()
        if event is None or event.next_at > now:
            return False
        mine = replace(event, tries=event.tries + 1, next_at=now + CLAIM_SECONDS)
        if not self.store.replace(record, _with_event(record, mine)):
            return False
        status = self.post(payload(record, event))
        taken = status is not None and 200 <= status < 300
        self._write(record, mine, status, taken=taken)
        return taken

    def _write(
        self, record: KeyRecord, event: OrderEvent, status: int | None, *, taken: bool
    ) -> None:
        """Note what came of it; where that fails, the event is posted once more."""
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

    def _saw(self, what: str, record: KeyRecord, event: OrderEvent, status: int | None) -> None:
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
    """Let a mode's parked events be tried again for three more days; return how many they were."""
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
    """Return the body of an event: Stripe's shape, and the same bytes at each try."""
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
    """The outbox is the only thing that changes: not even the time of the last change."""
    return with_follow_up(
        replace(record, version=record.version + 1), queue=_changed(record, event)
    )


def _changed(record: KeyRecord, event: OrderEvent) -> tuple[OrderEvent, ...]:
    queue: Iterable[OrderEvent] = follow_up_of(record).queue
    return tuple(event if each.id == event.id else each for each in queue)
