"""Late look-ups: search again for PaymentIntents of an abandoned attempt (rules 4 and 17).

A 500 leaves the outcome open: its object may appear after the look-up that found none. No client
was given its client_secret, so the service cancels it. The record holds the times of the late
look-ups, written together with the attempt that followed: if a process dies, others take over.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.gateways.intent import TAKEN
from payment_service.payments.context import Context
from payment_service.payments.record import transitions
from payment_service.payments.record.alarms import STRAY_PAID
from payment_service.payments.record.gateways import Leftover
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.strays import STRAY_CANCELED, settle_stray

# How long one process has a look-up to itself; also the wait after a failed call to Stripe.
CLAIM_SECONDS = 30.0


class LateLookUps(Struct, frozen=True):
    """Runs the late look-ups of one store. It has no state, so any number of processes may run it.

    `context_of` returns the dependencies for a client's account.
    """

    context: Context
    context_of: Callable[[str | None], Context]
    budget_seconds: float

    def due(self, limit: int) -> list[OrderRecord]:
        """Return records with a late look-up due, in the accounts that this process serves.

        Metadata in our account names no order of the other mode, or of another account's client.
        """
        now, serves = self.context.clock(), self.context.serves
        return self.context.records.due(now, limit, serves, lambda each: _has_look_up(each, now))

    def run(self, record: OrderRecord) -> bool:
        """Take the next late look-up of a record; return whether it is done."""
        now, look_ups = self.context.clock(), record.follow_up.look_ups
        if record.state == "pending" and transitions.is_held(record, now):
            # Its owner is still working; afterwards the record shows the owner's PaymentIntent.
            return False
        mine = _with_look_ups(record, (now + CLAIM_SECONDS, *look_ups[1:]))
        context = self.context_of(record.order.client_id)
        if not self.context.records.replace(record, mine) or _may_be_sent(context, record):
            return False
        try:
            canceled = self._look(context, mine)
        except PaymentError:
            return False
        return canceled is not None and self._tick_off(mine, now, canceled)

    def _look(self, context: Context, record: OrderRecord) -> list[str] | None:
        """Settle everything that is found; return what this look canceled.

        None if the record changed in the meantime.
        """
        deadline = Deadline.after(self.budget_seconds)
        canceled = []
        for place in places(context, record):
            gateway = context.open_gateway(place.gateway)
            found = gateway.find(record.order, place.since, deadline, place.until or None)
            # A call that fails for another one must not hide what is taken.
            for stray in sorted(found, key=lambda each: each.status not in TAKEN):
                if not stray.payable or stray.id == record.payment_intent_id:
                    continue
                held = self._held(record)
                if held is None:
                    return None
                outcome = settle_stray(context, held, stray, deadline, gateway)
                if outcome == STRAY_CANCELED:
                    canceled.append(stray.id)
                if outcome == STRAY_PAID:
                    # The record names it now. Go on, so that the others can soon not be paid.
                    paid = self.context.records.read(record.order)
                    if paid is None or paid.payment_intent_id != stray.id:
                        return None
                    record = paid
        return canceled

    def _held(self, record: OrderRecord) -> OrderRecord | None:
        """Read the record again; None if the PaymentIntents found may belong to a new attempt."""
        held = self.context.records.read(record.order)
        return held if held is not None and _place(held) == _place(record) else None

    def _tick_off(self, mine: OrderRecord, began: float, canceled: list[str]) -> bool:
        """Remove the look-up from the record, unless the record changed in the meantime.

        Then the look-up is repeated later, which is cheap. Rule 17: a leftover stands until a look
        that began an hour after its last send ended was answered.
        """
        held = self._held(mine)
        if held is None:
            return False
        kept, look_ups = held.follow_up, held.follow_up.look_ups[1:]
        stands = tuple(each for each in kept.leftovers if began < _last_look(each))
        last = max(map(_last_look, stands), default=0.0)
        if stands and (not look_ups or look_ups[-1] < last):
            look_ups = (*look_ups, last)
        ticked = _with_look_ups(held, look_ups)
        if kept.leftovers:
            ticked = self._without(ticked, stands, canceled)
        return self.context.records.replace(held, ticked)

    def _without(
        self, record: OrderRecord, stands: tuple[Leftover, ...], canceled: list[str]
    ) -> OrderRecord:
        """Return the record with the leftovers that still stand, and what this look canceled."""
        now = self.context.clock()
        for intent_id in canceled:
            self.context.report("leftover_canceled", record, payment_intent_id=intent_id)
            follow_up = record.follow_up.noted(
                now, "leftover canceled", payment_intent_id=intent_id
            )
            record = replace(record, follow_up=follow_up)
        return record.with_follow_up(leftovers=stands)


def _may_be_sent(context: Context, record: OrderRecord) -> bool:
    """Whether what is found may be the record's own: its attempt at an open gateway is unknown.

    Of a pending attempt at a gated gateway nothing is there.
    """
    return record.state == "pending" and not context.is_gated(record)


def places(context: Context, record: OrderRecord) -> list[Leftover]:
    """Return the open gateways at which the order may have strays, and for which time: each once.

    `since`, `until` (Unix seconds): when its sends may have made one; an `until` of 0 means now.
    """
    kept, own = record.follow_up, record.sent.gateway
    places: dict[str, Leftover] = {}
    parts = list(kept.leftovers)
    if own not in context.gated and (kept.look_since or not parts):
        parts.append(Leftover(own, record.attempt, kept.look_since, kept.look_until))
    for part in parts:
        known = places.get(part.gateway, part)
        places[part.gateway] = replace(
            part, since=min(known.since, part.since), until=max(known.until, part.until)
        )
    return list(places.values())


def _last_look(left: Leftover) -> float:
    return left.until + LATEST_ARRIVAL_SECONDS


def _place(record: OrderRecord) -> tuple[object, ...]:
    """The fields that an owner changes and a history entry does not."""
    look_ups = record.follow_up.look_ups
    return record.attempt, record.state, record.payment_intent_id, look_ups


def _has_look_up(record: OrderRecord, now: float) -> bool:
    look_ups = record.follow_up.look_ups
    return bool(look_ups) and look_ups[0] <= now


def _with_look_ups(record: OrderRecord, look_ups: tuple[float, ...]) -> OrderRecord:
    return transitions.amended(record, look_ups=look_ups)
