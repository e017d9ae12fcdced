"""Deliver the events in the records' outboxes: at least once, in sequence for each order.

The store writes an event in the same operation as the state that it reports, so that neither
exists without the other. A deliverer first claims the event: it moves `next_at` by a replace, so
that several deliverers share the work. If it dies before the delivery, another one tries again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from payment_service.key_store.contract import Order
from payment_service.payments.observer import Fact, Observation, Observe, What, ignore
from payment_service.payments.record import transitions
from payment_service.payments.record.follow_up import OrderEvent
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import Records
from payment_service.payments.shop_events.catalogue import KEEP_TRYING_SECONDS

# Back-off: first wait, doubled each time, and its cap. A shop that recovers gets its events within
# about an hour.
FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 1.0, 3600.0
JITTER = (0.75, 1.25)

# How long a process has an event to itself: longer than a post may last.
CLAIM_SECONDS = 30.0

Post = Callable[[Order, bytes], int]
"""Posts a body to the order's shop; returns the HTTP status. Raises NotAnswered."""


class NotAnswered(Exception):
    """A post got no answer. `cause` says why, without secrets; `phase` is the step that failed."""

    def __init__(self, cause: str, phase: str | None = None) -> None:
        super().__init__(cause)
        self.cause, self.phase = cause, phase


class Outbox(Struct, frozen=True):
    """Delivers the events of one store. It has no state, so any number of processes may run it.

    `ours`: which orders' events to deliver; the store may hold the other mode's orders, too.
    """

    records: Records
    post: Post
    clock: Callable[[], float]
    observe: Observe = ignore
    uniform: Callable[[float, float], float] = random.uniform
    ours: Callable[[Order], bool] = lambda _: True

    def due(self, limit: int) -> list[OrderRecord]:
        """Return records with an event due, in random order."""
        now = self.clock()
        due = self.records.due(now, limit, self.ours, lambda each: _has_event(each, now))
        # Shuffled, so that several deliverers seldom compete for the same record.
        return random.sample(due, len(due))

    def run(self, record: OrderRecord) -> bool:
        """Post the next event of a record; return whether the shop accepted it.

        Also False if another process has claimed it.
        """
        event, now = record.follow_up.next_event, self.clock()
        if event is None or event.next_at > now:
            return False
        mine = replace(event, tries=event.tries + 1, next_at=now + CLAIM_SECONDS)
        claimed = _with_event(record, mine)
        if not self.records.replace(record, claimed):
            return False
        answer: dict[str, Fact]
        try:
            status = self.post(record.order, payload(record, event))
            accepted, answer = 200 <= status < 300, {"status": status}
        except NotAnswered as failed:
            accepted = False
            answer = {"status": None, "phase": failed.phase, "cause": failed.cause}
        self._record_outcome(claimed, mine, answer, accepted=accepted)
        return accepted

    def _record_outcome(
        self,
        claimed: OrderRecord,
        event: OrderEvent,
        answer: Mapping[str, Fact],
        *,
        accepted: bool,
    ) -> None:
        """Record the outcome; if that fails, the event is posted once more."""
        now = self.clock()
        what: What
        if accepted:
            what, after = "event_delivered", partial(_delivered, event=event, now=now)
        elif now >= event.until:
            what, after = "event_parked", partial(_parked, event=event, now=now)
        else:
            next_at = now + self._wait(event)
            what, after = (
                "event_failed",
                partial(_with_event, event=replace(event, next_at=next_at)),
            )
        written = self.records.change(
            claimed, lambda held: after(held) if event in held.follow_up.queue else None
        )
        if written:
            self._report(what, written, event, answer)

    def _wait(self, event: OrderEvent) -> float:
        """Return the seconds until the next try."""
        backoff = FIRST_WAIT_SECONDS * 2.0 ** min(event.tries - 1, 30)
        return min(backoff, MOST_WAIT_SECONDS) * self.uniform(*JITTER)

    def _report(
        self, what: What, record: OrderRecord, event: OrderEvent, answer: Mapping[str, Fact]
    ) -> None:
        named: dict[str, Fact] = {"event_id": event.id, "type": event.type, "tries": event.tries}
        facts = {**named, **answer}
        self.observe(Observation(what, record.order, record.attempt, facts))


def _delivered(record: OrderRecord, event: OrderEvent, now: float) -> OrderRecord:
    noted = transitions.touched(record, now, "order event delivered", type=event.type)
    queue = tuple(each for each in record.follow_up.queue if each.id != event.id)
    return noted.with_follow_up(queue=queue)


def _parked(record: OrderRecord, event: OrderEvent, now: float) -> OrderRecord:
    noted = transitions.touched(record, now, "order event parked", type=event.type)
    return noted.with_follow_up(queue=_changed(noted, replace(event, parked=True)))


def _has_event(record: OrderRecord, now: float) -> bool:
    event = record.follow_up.next_event
    return event is not None and event.next_at <= now


def unparked(records: Records, now: float, *, livemode: bool) -> int:
    """Retry a mode's parked events for three more days; return their number."""
    count = 0
    for record in records.scan(of=lambda each: each.order.livemode == livemode):
        queue = record.follow_up.queue
        parked = [event for event in queue if event.parked]
        if parked:
            again = tuple(
                replace(event, parked=False, until=now + KEEP_TRYING_SECONDS, tries=0, next_at=now)
                if event.parked
                else event
                for event in queue
            )
            changed = transitions.amended(record, queue=again)
            count += len(parked) if records.replace(record, changed) else 0
    return count


def payload(record: OrderRecord, event: OrderEvent) -> bytes:
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


def _with_event(record: OrderRecord, event: OrderEvent) -> OrderRecord:
    """Return the record with only the outbox changed; even `updated_at` stays."""
    return transitions.amended(record, queue=_changed(record, event))


def _changed(record: OrderRecord, event: OrderEvent) -> tuple[OrderEvent, ...]:
    queue: Iterable[OrderEvent] = record.follow_up.queue
    return tuple(event if each.id == event.id else each for each in queue)
