"""Mark at the open gateway that a gated one has taken the order's money (rule 22).

A store may lose the record of a paid order. The next request then begins at the open gateway, which
would make a second payment. So the order's first key there is used up, and every payment that
names the order there is marked with the one that took the money, and canceled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from msgspec import Struct, field

from payment_service.errors import Misconfigured, PaymentError, Refused
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import MOVED_TO, TAKEN, Intent
from payment_service.gateways.outcome import Declined, KeyMisused, Made, Unclear
from payment_service.gateways.sent_params import SentParams
from payment_service.payments.context import Context
from payment_service.payments.creation.circuit import note_outcome
from payment_service.payments.idempotency_key import FIRST_ATTEMPT, idempotency_key, witness_key
from payment_service.payments.record import gated_transitions, transitions, witness
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.recovery.strays import end_stray, settle_stray

# After an outage thousands of witnesses are due at once, and each takes a few calls. One process
# makes so many a second, and this many at once.
PER_SECOND, MOST_AT_ONCE = 2.0, 10.0


class Pace(Struct):
    """How many witnesses a process may begin; shared by its threads."""

    clock: Callable[[], float]
    _left: float = MOST_AT_ONCE
    _counted_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def left(self) -> int:
        """Return how many may begin now."""
        with self._lock:
            now = self.clock()
            since = 0.0 if self._counted_at is None else max(0.0, now - self._counted_at)
            self._left = min(MOST_AT_ONCE, self._left + since * PER_SECOND)
            self._counted_at = now
            return int(self._left)

    def spend(self, number: int) -> None:
        """Count those that begin."""
        with self._lock:
            self._left -= number


class Witnesses(Struct, frozen=True):
    """Makes the witnesses of one store that are due. Any number of processes may run it.

    `context_of` returns the dependencies for a client's account. While the circuit of the open
    gateway is open, nothing is due.
    """

    context: Context
    context_of: Callable[[str | None], Context]
    budget_seconds: float
    pace: Pace

    def due(self, limit: int) -> list[OrderRecord]:
        """Return records whose witness is due, in the accounts that this process serves."""
        failover = self.context.failover
        most = min(limit, self.pace.left())
        if most < 1 or (failover and failover.circuits.is_open(self.context.gateway.facts.name)):
            return []
        now, serves = self.context.clock(), self.context.serves
        found = self.context.records.due(
            now, most, serves, lambda record: witness.is_due(record, now)
        )
        self.pace.spend(len(found))
        return found

    def run(self, record: OrderRecord) -> bool:
        """Make the witness of a record; return whether that is done."""
        context = self.context_of(record.order.client_id)
        try:
            context.check_configured(record)
        except Misconfigured:
            # Another process has the client's account there, and makes the witness.
            return False
        wanted = context.is_gated(record) and witness.is_wanted(record)
        mine = witness.taken(record, context.clock()) if wanted else witness.dropped(record)
        if not context.records.replace(record, mine):
            return False
        if not wanted:
            return True
        deadline = Deadline.after(self.budget_seconds).earlier(context.timing.store)
        try:
            return _Witnessing(context, mine, deadline).run()
        except PaymentError:
            return False


class _Witnessing:
    """One try. It repeats whatever an earlier one that crashed has done already."""

    def __init__(self, context: Context, record: OrderRecord, deadline: Deadline) -> None:
        self._context, self._record, self._deadline = context, record, deadline
        self._gateway, self._mark = context.gateway, witness.mark_of(record)
        self._began = context.clock()

    def run(self) -> bool:
        """Return whether the witness is made, or will never be. Raises PaymentError."""
        now = self._began
        try:
            made = self._make()
        except Refused as error:
            code = error.code
            self._write(lambda held: witness.refused(held, now, code))
            return True
        if made:
            end = witness.given_up if witness.is_late(self._record, now) else witness.made
            self._write(lambda held: end(held, now))
        return made

    def _make(self) -> bool:
        since = transitions.earliest_use_with_leftovers(self._record, self._gateway.facts)
        found = self._gateway.find(self._record.order, since, self._deadline)
        marked = [self._settled(each) for each in found]
        if witness.is_late(self._record, self._began):
            return True
        return self._used_up(found, marked_all=all(marked))

    def _used_up(self, found: list[Intent], *, marked_all: bool) -> bool:
        """Send the order's first key there; return whether it gives nothing that can be paid.

        After a saved failure, or a canceled payment without a mark, a request sends the next key.
        So does this.
        """
        order, known = self._record.order, {each.id for each in found}
        for number in range(FIRST_ATTEMPT, self._record.attempt + 1):
            self._record = self._read()
            key = idempotency_key(order.client_id, order.order_id, number)
            outcome = self._gateway.create(self._sent(), key, self._deadline)
            note_outcome(self._context, self._gateway.facts, outcome)
            match outcome:
                case Made(intent):
                    return intent.id in known or self._settled(intent)
                case KeyMisused() if marked_all:
                    # Without a payment, the one of that use has not appeared yet: look again.
                    return bool(found)
                case Unclear(saved_5xx=True, from_before=True) | Declined(replayed=True):
                    continue
                case KeyMisused():
                    continue
                case Declined(error):
                    raise error
                case Unclear(error):
                    raise error
        return False

    def _settled(self, intent: Intent) -> bool:
        """Mark a payment, and cancel it if it can be paid; return whether it is marked.

        Marked first, as a canceled one may take no changes. One that is taken needs no mark: it is
        an alarm, and a request that meets it begins no other. The record names it as ending before:
        if the capture is denied meanwhile, the next attempt adopts no payment that gets a mark.
        """
        self._record = self._read()
        if intent.status in TAKEN:
            settle_stray(self._context, self._record, intent, self._deadline, self._gateway)
            return True
        if not intent.payable:
            return self._marked(intent)
        ending = transitions.ending(self._record, intent.id, self._context.clock())
        self._context.records.write(self._record, ending)
        marked = self._marked(intent)
        end_stray(self._context, ending, intent, self._deadline, self._gateway)
        return marked

    def _marked(self, intent: Intent) -> bool:
        if intent.metadata.get(MOVED_TO) == self._mark:
            return True
        order = self._record.order
        key = witness_key(order.client_id, order.order_id, intent.id, self._mark)
        sent = self._params({"metadata": {MOVED_TO: self._mark}})
        outcome = self._gateway.update(intent.id, sent, key, self._deadline)
        if isinstance(outcome, Unclear):
            raise outcome.error
        return isinstance(outcome, Made)

    def _sent(self) -> SentParams:
        """The same for every try: the price of the payment, and the order's names."""
        order, price = self._record.order, self._record.sent.params
        client = {} if order.client_id is None else {"client_id": order.client_id}
        metadata = {"order_id": order.order_id, **client, MOVED_TO: self._mark}
        named = {"amount": price["amount"], "currency": price["currency"], "metadata": metadata}
        return self._params(named)

    def _params(self, params: dict[str, Any]) -> SentParams:
        return SentParams(self._gateway.api_version, params, self._gateway.facts.name)

    def _read(self) -> OrderRecord:
        """Read the record again. Raises RecordChanged if it wants this witness no longer."""
        held = self._context.records.read(self._record.order)
        same = held is not None and gated_transitions.is_same_payment(held, self._record)
        if held is None or not same or not witness.is_wanted(held):
            raise RecordChanged
        return held

    def _write(self, change: Callable[[OrderRecord], OrderRecord]) -> None:
        def changed(held: OrderRecord) -> OrderRecord | None:
            same = gated_transitions.is_same_payment(held, self._record)
            return change(held) if same and held.follow_up.witness else None

        self._context.records.change(self._record, changed)
