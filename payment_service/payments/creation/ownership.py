"""An attempt's record while it is ours: every write is fenced, and only what is written goes out.

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from payment_service.errors import PaymentError, StoreDown, StripeFailed
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.payments.context import Tools
from payment_service.payments.creation.adoption import Adoption
from payment_service.payments.creation.states import Created, Over, Owned
from payment_service.payments.record import transitions
from payment_service.payments.record.transitions import Wanted


class Ownership:
    """What the owner of an attempt writes down, and what it may give out then."""

    def __init__(self, tools: Tools, wanted: Wanted, owned: Owned, deadline: Deadline) -> None:
        self._tools, self._store = tools, tools.store
        self._gateway = tools.gateway_of(owned.record)
        self._wanted, self._deadline = wanted, deadline
        self._record = owned.record

    @property
    def record(self) -> KeyRecord:
        """The attempt's record as it was last seen by its owner."""
        return self._record

    def _write(self, change: Callable[[KeyRecord], KeyRecord]) -> bool:
        """Rule 6: write if owner and attempt are still ours; keep what was noted beside it."""
        while not self._store.replace(self._record, change(self._record)):
            before = self._record.version
            if not self._still_ours() or self._record.version == before:
                return False
        return True

    def _still_ours(self) -> bool:
        """Read the record again; tell whether its attempt is still ours to carry out."""
        held = self._store.read(self._record.order)
        if held is None or held.state != "pending" or held.owner != self._record.owner:
            return False
        self._record = held
        return True

    def _finish(
        self, adoption: Adoption, what: str, *, of_key: bool = False
    ) -> Created | Over | None:
        """Rule 6: the owner of this attempt records it, or it is not given out.

        `of_key`: Stripe answers the same PaymentIntent to the same key, so that a lost write
        loses nothing (rule 9).
        """
        intent = adoption.chosen
        assert intent is not None
        if not self._end_all(adoption.strays):
            return None
        if transitions.is_ending(self._record, intent):
            return self._ended(intent)
        now = self._tools.clock()
        try:
            written = self._write(
                lambda record: self._tools.telling(
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
        self._tools.saw(what, self._record, status=intent.status)
        return self._answer(intent)

    def _ended(self, intent: Intent) -> Over | None:
        """Somebody cancels it as a stray: once it is canceled, the attempt holds nothing (rule 3).

        That it is ending was written before this attempt was claimed: while a record is pending,
        nobody settles strays.
        """
        return Over() if self._end_all((intent,)) else None

    def _answer(self, intent: Intent) -> Created | None:
        same = self._record.fingerprint == self._wanted.fingerprint
        return Created(intent, replayed=False) if same else None

    def _unrecorded(self, intent: Intent) -> Created:
        """Rule 9: the answer goes out while nobody else can have taken the lock.

        Not where the write arrived after all, and an update came in between.
        """
        timing = self._tools.timing
        held = self._tools.clock() < self._record.locked_until - timing.lock_margin / 2
        in_time = self._deadline.left() > -timing.lock_margin / 2
        answer = self._answer(intent)
        updated = intent.asks_otherwise(SentParams.parse(self._record.params).params)
        if not (held and in_time and intent.payable and answer) or updated:
            raise StoreDown("The key store does not answer; ask again.")
        self._tools.saw("unrecorded", self._record, status=intent.status)
        return answer

    def _stale(self, intent: Intent) -> None:
        """Rule 6: another owner came first; what we made beside its own is a stray (rule 4)."""
        self._tools.saw("stale_owner", self._record)
        theirs = self._store.read(self._record.order)
        if theirs is None or theirs.state != "created" or theirs.attempt <= self._record.attempt:
            return
        if theirs.payment_intent_id != intent.id:
            self._cancel(intent)

    def release(self, error: PaymentError, *, saved_5xx: bool = False) -> None:
        """Leave the order unknown, for the next request to resolve."""
        now = self._tools.clock()
        try:
            self._write(
                lambda record: transitions.released(record, error.code, now, saved_5xx=saved_5xx)
            )
        except StoreUnavailable:
            # The lock runs out by itself.
            self._tools.saw("unrecorded", self._record, code=error.code)
        self._tools.saw("unknown", self._record, code=error.code)

    def _end_all(self, strays: Iterable[Intent]) -> bool:
        """Rule 4: before one is recorded, no other can be paid; False where we own nothing now.

        In this order, because the secret of a stray may be out after all (rule 9), and a crash
        between the two would leave both payable.
        """
        for stray in strays:
            if not self._still_ours():
                return False
            if not self._cancel(stray):
                changed = StripeFailed("A PaymentIntent of this order could not be canceled.")
                # The key would not show what has become of the stray: look again.
                self.release(changed, saved_5xx=True)
                raise changed
        return True

    def _cancel(self, stray: Intent) -> bool:
        """Cancel one; tell whether it can be paid no longer."""
        try:
            done = (
                self._gateway.cancel(stray.id, "duplicate", self._deadline)
                # Somebody else's cancellation may have come first.
                or self._gateway.retrieve(stray.id, self._deadline).status == CANCELED
            )
        except (PaymentError, NoSuchIntent):
            done = False
        what = "stray_canceled" if done else "stray_left"
        self._tools.saw(what, self._record, payment_intent_id=stray.id)
        return bool(done)
