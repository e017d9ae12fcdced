"""The record of an attempt that we own: every write is fenced, and precedes the answer.

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from payment_service.errors import PaymentError, StoreDown, StripeFailed
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, Intent
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.creation.adoption import Adoption
from payment_service.payments.creation.states import Created, Over, Owned
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Wanted


class Ownership:
    """The owner's writes to its attempt's record, and the answers that they permit."""

    def __init__(self, context: Context, wanted: Wanted, owned: Owned, deadline: Deadline) -> None:
        self._context, self._store = context, context.records
        self._gateway = context.gateway_of(owned.record)
        self._wanted, self._deadline = wanted, deadline
        self._record = owned.record

    @property
    def record(self) -> OrderRecord:
        """The attempt's record as its owner last read or wrote it."""
        return self._record

    def _write(self, change: Callable[[OrderRecord], OrderRecord]) -> bool:
        """Rule 6: write if we still own the attempt; keep concurrent history entries."""
        while not self._store.replace(self._record, change(self._record)):
            before = self._record.version
            if not self._still_ours() or self._record.version == before:
                return False
        return True

    def _still_ours(self) -> bool:
        """Read the record again; return whether we still own its attempt."""
        held = self._store.read(self._record.order)
        if held is None or held.state != "pending" or held.owner != self._record.owner:
            return False
        self._record = held
        return True

    def _finish(
        self, adoption: Adoption, what: str, *, of_key: bool = False
    ) -> Created | Over | None:
        """Rule 6: record the PaymentIntent as the attempt's owner, or do not hand it out.

        `of_key`: Stripe returns the same PaymentIntent for the same key, so a lost write loses
        nothing (rule 9).
        """
        intent = adoption.chosen
        assert intent is not None
        if not self._end_all(adoption.strays):
            return None
        if transitions.is_ending(self._record, intent):
            return self._ended(intent)
        now = self._context.clock()
        try:
            written = self._write(
                lambda record: self._context.telling(
                    transitions.recorded(record, intent, now, what), intent
                )
            )
        except StoreUnavailable:
            if of_key:
                return self._unrecorded(intent)
            raise
        if not written:
            self._stale(intent)
            return None
        self._context.saw(what, self._record, status=intent.status)
        return self._answer(intent)

    def _ended(self, intent: Intent) -> Over | None:
        """Another process is canceling this PaymentIntent as a stray; finish the cancellation.

        Once it is canceled, the attempt is over (rule 3). The record named it as ending before
        this attempt was claimed: no process settles strays of a pending record.
        """
        return Over() if self._end_all((intent,)) else None

    def _answer(self, intent: Intent) -> Created | None:
        same = self._record.fingerprint == self._wanted.fingerprint
        return Created(intent, replayed=False) if same else None

    def _unrecorded(self, intent: Intent) -> Created:
        """Rule 9: answer without the write, while no other process can have taken the lock.

        But not if the write arrived after all and an update followed it.
        """
        timing = self._context.timing
        held = self._context.clock() < self._record.locked_until - timing.lock_margin / 2
        in_time = self._deadline.left() > -timing.lock_margin / 2
        answer = self._answer(intent)
        updated = intent.asks_otherwise(self._record.sent.params)
        if not (held and in_time and intent.payable and answer) or updated:
            raise StoreDown("The key store does not answer; ask again.")
        self._context.saw("unrecorded", self._record, status=intent.status)
        return answer

    def _stale(self, intent: Intent) -> None:
        """Rule 6: another owner came first; if it recorded another PaymentIntent, cancel ours.

        Ours is then a stray (rule 4).
        """
        self._context.saw("stale_owner", self._record)
        theirs = self._store.read(self._record.order)
        if theirs is None or theirs.state != "created" or theirs.attempt <= self._record.attempt:
            return
        if theirs.payment_intent_id != intent.id:
            self._cancel(intent)

    def release(self, error: PaymentError, *, saved_5xx: bool = False) -> None:
        """Leave the order unknown, so that the next request resolves it."""
        now = self._context.clock()
        try:
            self._write(
                lambda record: transitions.released(record, error.code, now, saved_5xx=saved_5xx)
            )
        except StoreUnavailable:
            # The lock expires anyway.
            self._context.saw("unrecorded", self._record, code=error.code)
        self._context.saw("unknown", self._record, code=error.code)

    def _end_all(self, strays: Iterable[Intent]) -> bool:
        """Rule 4: cancel every stray before recording a PaymentIntent; False if we lost the record.

        Order matters: rule 9 may have released a stray's client_secret, and a crash between the
        two writes would leave both payable.
        """
        for stray in strays:
            if not self._still_ours():
                return False
            if not self._cancel(stray):
                changed = StripeFailed("A PaymentIntent of this order could not be canceled.")
                # The key's answer would not show the stray's new status: force a look-up.
                self.release(changed, saved_5xx=True)
                raise changed
        return True

    def _cancel(self, stray: Intent) -> bool:
        """Cancel a stray; return whether it is now canceled."""
        try:
            done = (
                self._gateway.cancel(stray.id, "duplicate", self._deadline)
                # Another process may have canceled it first.
                or self._gateway.retrieve(stray.id, self._deadline).status == CANCELED
            )
        except (PaymentError, NoSuchIntent):
            done = False
        what = "stray_canceled" if done else "stray_left"
        self._context.saw(what, self._record, payment_intent_id=stray.id)
        return bool(done)
