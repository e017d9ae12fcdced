"""Late look-ups: search again for PaymentIntents of an abandoned attempt (rule 4).

A 500 leaves the outcome open: its object may appear after the look-up that found none. No client
was given its client_secret, so the service cancels it. The record holds the times of the late
look-ups, written together with the attempt that followed: if a process dies, others take over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from payment_service.errors import PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.payments.context import Context
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.strays import settle_stray

# How long one process has a look-up to itself; also the wait after a failed call to Stripe.
CLAIM_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LateLookUps:
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
        if not self.context.records.replace(record, mine) or record.state == "pending":
            return False
        try:
            return self._look(mine) and self._tick_off(mine)
        except PaymentError:
            return False

    def _look(self, record: OrderRecord) -> bool:
        context = self.context_of(record.order.client_id)
        deadline = Deadline.after(self.budget_seconds)
        kept = record.follow_up
        gateway = context.gateway_of(record)
        found = gateway.find(record.order, kept.look_since, deadline, kept.look_until or None)
        others = (each for each in found if each.payable and each.id != record.payment_intent_id)
        return all(self._settled(context, record, each, deadline) for each in others)

    def _settled(
        self, context: Context, record: OrderRecord, stray: Intent, deadline: Deadline
    ) -> bool:
        held = self._held(record)
        if held is None:
            return False
        settle_stray(context, held, stray, deadline)
        return True

    def _held(self, record: OrderRecord) -> OrderRecord | None:
        """Read the record again; None if the PaymentIntents found may belong to a new attempt."""
        held = self.context.records.read(record.order)
        return held if held is not None and _place(held) == _place(record) else None

    def _tick_off(self, mine: OrderRecord) -> bool:
        """Remove the look-up from the record, unless the record changed in the meantime.

        Then the look-up is repeated later, which is cheap.
        """
        held = self._held(mine)
        if held is None:
            return False
        return self.context.records.replace(held, _with_look_ups(held, held.follow_up.look_ups[1:]))


def _place(record: OrderRecord) -> tuple[object, ...]:
    """The fields that an owner changes and a history entry does not."""
    look_ups = record.follow_up.look_ups
    return record.attempt, record.state, record.payment_intent_id, look_ups


def _has_look_up(record: OrderRecord, now: float) -> bool:
    look_ups = record.follow_up.look_ups
    return bool(look_ups) and look_ups[0] <= now


def _with_look_ups(record: OrderRecord, look_ups: tuple[float, ...]) -> OrderRecord:
    return transitions.amended(record, look_ups=look_ups)
