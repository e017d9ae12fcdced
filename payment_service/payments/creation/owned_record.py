"""The record of an attempt that we own: every write is fenced, and precedes the answer.

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable

from payment_service.errors import GatewayFailed, PaymentError, StoreDown
from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, Intent
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.creation.adoption import Adoption
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.creation.states import (
    AttemptOver,
    AttemptResult,
    AttemptUnknown,
    Created,
    LookAgain,
)
from payment_service.payments.observer import What
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Wanted


class OwnedRecord:
    """The owner's writes to its attempt's record, and the results that they permit.

    `record` is the record as its owner last read or wrote it. The lease keeper's thread renews the
    lease; a lock keeps its writes and the owner's apart, so that neither meets the other's version.
    """

    def __init__(
        self,
        context: Context,
        wanted: Wanted,
        record: OrderRecord,
        deadline: Deadline,
        *,
        leased_at: float = -math.inf,
    ) -> None:
        """`leased_at`: before the last write of the lease, in seconds of the deadline's clock."""
        self._context, self._wanted, self._deadline = context, wanted, deadline
        self._owner = record.owner
        self._writing = threading.Lock()
        self.record, self._leased_at = record, leased_at
        self.renew_at = leased_at + transitions.RENEW_AFTER_SECONDS

    @property
    def gateway(self) -> Gateway:
        """The open gateway that the record names."""
        return self._context.gateway_of(self.record)

    def renew(self) -> None:
        """Rule 5: extend the lease of an owner at work; for the lease keeper.

        Not while the owner writes, and not beyond its deadline: a thread that hangs must not hold
        the order for good. Raises StoreUnavailable, RecordChanged.
        """
        if not self._writing.acquire(blocking=False):
            return
        try:
            began = self._deadline.monotonic()
            # The owner's last write waits for this one, so this one must end by the deadline.
            if self._deadline.left() <= self._context.timing.store or self.renew_at == math.inf:
                self.renew_at = math.inf
                return
            self.renew_at = began + transitions.RENEW_AFTER_SECONDS
            now = self._context.clock()
            if self._changed(lambda record: transitions.renewed(record, now)):
                self._leased_at = began
            else:
                # Another owner has the order. Our next write would find that out (rule 6), but if
                # the store fails then, rule 9 must not answer either.
                self.renew_at, self._leased_at = math.inf, -math.inf
        finally:
            self._writing.release()

    def end_renewals(self) -> None:
        """Wait for a renewal under way, and allow no other."""
        with self._writing:
            self.renew_at = math.inf

    def write(self, change: Callable[[OrderRecord], OrderRecord]) -> bool:
        """Rule 6: write if we still own the attempt; keep concurrent history entries."""
        with self._writing:
            return self._changed(change)

    def _changed(self, change: Callable[[OrderRecord], OrderRecord]) -> bool:
        def changed(held: OrderRecord) -> OrderRecord | None:
            return change(held) if self._is_ours(held) else None

        written = self._context.records.change(self.record, changed)
        self.record = written or self.record
        return written is not None

    def finish(self, adoption: Adoption, what: What, *, of_key: bool = False) -> AttemptResult:
        """Rule 6: record the PaymentIntent as the attempt's owner, or do not hand it out.

        `of_key`: Stripe returns the same PaymentIntent for the same key, so a lost write loses
        nothing (rule 9).
        """
        intent = adoption.chosen
        assert intent is not None
        if not self.cancel_all(adoption.strays):
            return LookAgain()
        if transitions.is_ending(self.record, intent):
            return self.finish_cancellation(intent)
        result, now = self._result(intent), self._context.clock()
        try:
            written = self.write(
                lambda record: self._context.with_shop_event(
                    transitions.recorded(record, intent, now, what), intent
                )
            )
        except StoreUnavailable:
            if of_key:
                return self.answer_unrecorded(intent)
            raise
        if not written:
            self._lose_to_another_owner(intent)
            return LookAgain()
        self._context.report(what, self.record, status=intent.status)
        return result

    def finish_cancellation(self, intent: Intent) -> AttemptResult:
        """Another process is canceling this PaymentIntent as a stray; finish the cancellation.

        Once it is canceled, the attempt is over (rule 3). The record named it as ending before
        this attempt was claimed: no process settles strays of a pending record.
        """
        return AttemptOver(self.record) if self.cancel_all((intent,)) else LookAgain()

    def answer_unrecorded(self, intent: Intent) -> Created:
        """Rule 9: answer without the write, while no other process can have taken the order over.

        But not if the write arrived after all and an update followed it. Rule 14: never where
        another gateway may take the order over, because the record could not tell it that a
        client_secret was given out.
        """
        result = self._result(intent)
        updated = intent.asks_otherwise(self.record.sent.params)
        known = self.holds_lease() and intent.payable and not updated
        if self._context.several_gateways or not known or not isinstance(result, Created):
            raise StoreDown("The key store failed; ask again.")
        self._context.report("unrecorded", self.record, status=intent.status)
        return result

    def holds_lease(self) -> bool:
        """Whether no other process can have seen our lease expire.

        By its own clock, no process has seen it for the time of a lease. By the clock of the day,
        which also counts a time in which the machine was suspended, it has not ended.
        """
        seen_for = self._deadline.monotonic() - self._leased_at
        in_time = self._context.clock() < self.record.locked_until
        return in_time and seen_for < transitions.LEASE_SECONDS

    def release(self, error: PaymentError, *, saved_5xx: bool = False) -> bool:
        """Leave the order unknown, so that the next request resolves it.

        False if another owner has it: then its record has the answer (rule 6).
        """
        now = self._context.clock()
        try:
            if not self.write(
                lambda record: transitions.released(record, error.code, now, saved_5xx=saved_5xx)
            ):
                self._context.report("stale_owner", self.record)
                return False
        except StoreUnavailable:
            # The lease expires anyway.
            self._context.report("unrecorded", self.record, code=error.code)
        self._context.report("unknown", self.record, code=error.code)
        return True

    def cancel_all(self, strays: Iterable[Intent]) -> bool:
        """Rule 4: cancel every stray before recording a PaymentIntent; False if we lost the record.

        Order matters: rule 9 may have released a stray's client_secret, and a crash between the
        two writes would leave both payable.
        """
        for stray in strays:
            if not self._is_still_ours():
                return False
            if not self.cancel(stray):
                changed = GatewayFailed("A PaymentIntent of this order could not be canceled.")
                # The key's answer would not show the stray's new status: force a look-up.
                if self.release(changed, saved_5xx=True):
                    raise changed
                return False
        return True

    def cancel(self, stray: Intent) -> bool:
        """Cancel a stray; return whether it is now canceled, by us or by another process."""
        try:
            after = cancel_and_check(self.gateway, stray, "duplicate", self._deadline)
            done = after.ours or after.intent.status == CANCELED
        except PaymentError:
            done = False
        what: What = "stray_canceled" if done else "stray_left"
        self._context.report(what, self.record, payment_intent_id=stray.id)
        return done

    def _result(self, intent: Intent) -> Created | LookAgain:
        """Return the PaymentIntent only to the request that the attempt was made for."""
        same = self.record.fingerprint == self._wanted.fingerprint
        return Created(intent, False, self.record.sent.gateway) if same else LookAgain()

    def _lose_to_another_owner(self, intent: Intent) -> None:
        """Rule 6: another owner came first; if it recorded another PaymentIntent, cancel ours.

        Ours is then a stray (rule 4).
        """
        self._context.report("stale_owner", self.record)
        theirs, ours = self._context.records.read(self.record.order), self.record
        if theirs is None or theirs.state != "created":
            return
        # Rule 13: an attempt at another gateway is another one, whatever its number.
        if theirs.sent.gateway == ours.sent.gateway and theirs.attempt <= ours.attempt:
            return
        if theirs.payment_intent_id != intent.id:
            self.cancel(intent)

    def _is_ours(self, held: OrderRecord) -> bool:
        return held.state == "pending" and held.owner == self._owner

    def _is_still_ours(self) -> bool:
        """Read the record again; return whether we still own its attempt."""
        with self._writing:
            held = self._context.records.read(self.record.order)
            if held is None or not self._is_ours(held):
                return False
            self.record = held
            return True


def raise_if_ours(
    context: Context,
    wanted: Wanted,
    failed: AttemptUnknown,
    deadline: Deadline,
    first: PaymentError | None = None,
) -> None:
    """Leave our attempt unknown, and raise the gateway's failure, or `first` instead.

    Return if another owner has the order: then its record has the answer (rule 6).
    """
    own = OwnedRecord(context, wanted, failed.record, deadline)
    if own.release(failed.error, saved_5xx=failed.saved_5xx):
        raise first or failed.error
