"""One attempt that we own: send its key or look for its PaymentIntent, then decide the next step.

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.errors import InFlight, PaymentError
from payment_service.gateways.contract import NamedPayment
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import TAKEN, Intent
from payment_service.gateways.outcome import Declined, KeyMisused, Made, Unclear
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.creation import moved
from payment_service.payments.creation.adoption import Adoption, choose
from payment_service.payments.creation.circuit import note_outcome
from payment_service.payments.creation.missing_intent import fetch_again
from payment_service.payments.creation.owned_record import OwnedRecord
from payment_service.payments.creation.states import (
    AttemptOver,
    AttemptResult,
    AttemptUnknown,
    Claimed,
    LookAgain,
)
from payment_service.payments.idempotency_key import idempotency_key
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Wanted

# The object of a 500 may appear after its answer, usually a moment later: a second look-up costs
# less than a stray. The pause takes at most a third of the time left, because more steps follow.
# A second look-up after less than half a second is not worth its call to Stripe.
MOST_PAUSE_SECONDS, LEAST_PAUSE_SECONDS = 2.0, 0.5
PART_OF_TIME_LEFT = 1 / 3


class _LookUpFailedError(Exception):
    """The gateway did not answer a look-up."""

    def __init__(self, error: PaymentError, *, saved_5xx: bool) -> None:
        super().__init__(error)
        self.error, self.saved_5xx = error, saved_5xx


class _MovedError(Exception):
    """A gated gateway has taken the order's money, as a mark says (rule 22)."""

    def __init__(self, named: NamedPayment, found: list[Intent]) -> None:
        super().__init__(named.intent.id)
        self.named, self.found = named, found


class Attempt:
    """The steps of an attempt's owner. They end before the deadline."""

    def __init__(
        self,
        context: Context,
        wanted: Wanted,
        claimed: Claimed,
        deadline: Deadline,
        share: Deadline | None = None,
    ) -> None:
        """`share`: when the calls to the gateway end, if another one may step in afterwards."""
        self._context, self._wanted, self._deadline = context, wanted, share or deadline
        self._own = OwnedRecord(
            context, wanted, claimed.record, deadline, leased_at=claimed.leased_at
        )
        self._gateway = self._own.gateway
        self._inherited, self._sent_until = claimed.inherited, claimed.sent_until
        self._begun = claimed.begun
        self._began_at = context.clock()
        self._sent = claimed.record.sent

    def carry_out(self) -> AttemptResult:
        """Send the attempt's key, or look for what it created, and record the outcome.

        Meanwhile the lease is renewed (rule 5). Raises Refused if Stripe rejected the request; the
        record then says so too.
        """
        leases = self._context.leases
        leases.hold(self._own)
        end: AttemptResult
        try:
            end = self._carry_out()
        except _LookUpFailedError as failed:
            end = AttemptUnknown(self._record, failed.error, failed.saved_5xx)
        except _MovedError as elsewhere:
            end = self._adopt_moved(elsewhere.named, elsewhere.found)
        finally:
            leases.drop(self._own)
        # A renewal after the attempt's end may have written a newer version.
        if isinstance(end, AttemptOver | AttemptUnknown):
            return replace(end, record=self._record)
        return end

    def _carry_out(self) -> AttemptResult:
        if transitions.must_look_up(self._record, self._context.clock(), self._gateway.facts):
            # A lost version of the record may have sent keys after this version's last send.
            end = self._look_up(sent_until=None if self._begun else self._sent_until)
            if not (self._begun and isinstance(end, AttemptOver) and self._is_new_from_now()):
                return end
            # Another owner may have sent the next key since our look-up, and the store may have
            # lost that: then our write was not fenced.
            if not self._own.holds_lease():
                return end
        # Rule 2: every sender uses the key and the params of the record.
        order, number = self._record.order, self._record.attempt
        key = idempotency_key(order.client_id, order.order_id, number)
        outcome = self._gateway.create(self._sent, key, self._deadline)
        note_outcome(self._context, self._gateway.facts, outcome)
        match outcome:
            case Made() as made:
                return self._made(made)
            case Declined() as no:
                return self._declined(no)
            case KeyMisused() as misused:
                return self._key_misused(misused)
            case Unclear() as unclear:
                return self._unclear(unclear)

    @property
    def _record(self) -> OrderRecord:
        return self._own.record

    def _earliest_use(self) -> float:
        return transitions.earliest_use(self._record, self._gateway.facts)

    def _is_new_from_now(self) -> bool:
        """Rule 3: the look-up covered lost versions of this record, so the key may be sent."""
        now = self._context.clock()
        return self._own.write(lambda record: transitions.looked_up(record, now))

    # Outcomes of a send.

    def _made(self, made: Made) -> AttemptResult:
        if made.replayed:
            return self._made_before(made.intent)
        if self._inherited:
            return self._made_at_last(made.intent)
        return self._own.finish(Adoption(made.intent, ()), "created", of_key=True)

    def _made_before(self, then: Intent) -> AttemptResult:
        """A replayed answer shows a past state of the PaymentIntent: record it, then fetch it."""
        if transitions.is_ending(self._record, then):
            return self._own.finish_cancellation(then)
        now = self._context.clock()
        try:
            self._own.write(lambda record: transitions.created(record, then, now))
        except StoreUnavailable:
            return self._own.answer_unrecorded(fetch_again(self._gateway, then, self._deadline))
        return LookAgain()

    def _made_at_last(self, intent: Intent) -> AttemptResult:
        """Our resend created a PaymentIntent: no earlier send arrived, or Stripe forgot the key.

        The latter happens when a clock was set back, so look for an older one (rule 4).
        """
        try:
            # We know our own PaymentIntent, so search only for those sent before it.
            found = self._gateway.find(
                self._record.order, self._record.first_sent_at, self._deadline, self._sent_until
            )
        except PaymentError as failed:
            if transitions.must_look_up(self._record, self._context.clock(), self._gateway.facts):
                raise _LookUpFailedError(failed, saved_5xx=True) from failed
            found = []
        self._check_moved([intent, *found])
        known = {each.id: each for each in (intent, *found)}
        if len(known) == 1:
            return self._own.finish(Adoption(intent, ()), "created", of_key=True)
        return self._own.finish(choose(known.values(), self._sent.params), "created")

    def _declined(self, no: Declined) -> AttemptResult:
        if no.replayed and not no.after_unresolved:
            # Rule 10: Stripe rejected this attempt before this request began, but the record does
            # not say so: the store lost that write or never received it.
            return AttemptOver(self._record)
        first_send = not (no.after_unresolved or self._inherited)
        if not first_send and not no.replayed:
            # Stripe checks rate limits and validation before idempotency: a rejection of a resend
            # tells us nothing about the first send.
            adoption = self._search(self._earliest_use())
            if adoption.chosen is not None:
                return self._own.finish(adoption, "adopted")
        self._reject(no, in_doubt=not first_send and not no.replayed)
        return LookAgain()

    def _reject(self, no: Declined, *, in_doubt: bool = False) -> None:
        """Rule 8: record a definitive rejection."""
        code = no.error.code
        now = self._context.clock()
        written = self._own.write(
            lambda record: transitions.rejected(record, code, now, in_doubt=in_doubt)
        )
        if not written:
            return
        self._context.report("rejected", self._record, code=code)
        if self._record.fingerprint == self._wanted.fingerprint:
            raise no.error

    def _key_misused(self, misused: KeyMisused) -> AttemptResult:
        """Stripe knows the key with other parameters.

        Either it saved its rejection of them, or the store lost the record of that use.
        """
        if transitions.was_refused(self._record):
            return self._look_up()
        adoption = self._search(self._earliest_use())
        if adoption.chosen is not None:
            return self._own.finish(adoption, "adopted")
        if adoption.strays:
            return self._adopt_lost(*adoption.strays)
        if self._context.clock() - self._record.first_sent_at >= self._context.timing.lock:
            return AttemptOver(self._record)
        # Another process used the key, perhaps one that a deploy is replacing. No request works on
        # an order for longer than `lock`.
        if not self._own.release(misused.error):
            return LookAgain()
        raise InFlight(
            "This order was just asked for with other parameters; ask again.",
            retry_after_seconds=self._context.timing.lock / 10,
        ) from misused.error

    def _adopt_lost(self, newest: Intent, *others: Intent) -> AttemptResult:
        """Adopt a lost record's PaymentIntent, whatever its amount (rule 4).

        Its client_secret may have been released.
        """
        if self._own.cancel_all(others):
            if transitions.is_ending(self._record, newest):
                return self._own.finish_cancellation(newest)
            now = self._context.clock()
            self._own.write(
                lambda record: self._context.with_shop_event(
                    transitions.adopted(record, newest, now), newest
                )
            )
        return LookAgain()

    def _unclear(self, unclear: Unclear) -> AttemptResult:
        """Rule 8: nothing is final. Within this request we can only recover from a saved 5xx."""
        # A 500 to a takeover's send may be a replay of a saved one that is not marked as a replay.
        if not unclear.saved_5xx and not (self._inherited and unclear.answered_500):
            return AttemptUnknown(self._record, unclear.error)
        since = self._began_at if unclear.of_this_call else None
        end = self._look_up(unclear.error, since=since)
        # Rule 3: a 5xx saved before this request is not one of this request's failures.
        if unclear.from_before and isinstance(end, AttemptOver):
            return AttemptOver(end.record)
        return end

    # Look-ups of what the attempt may have created.

    def _look_up(
        self,
        failed: PaymentError | None = None,
        *,
        since: float | None = None,
        sent_until: float | None = None,
    ) -> AttemptResult:
        """Rules 3 and 4: adopt the PaymentIntent found. If there is none, the attempt is over.

        `failed`: the saved 5xx that Stripe has just returned for the key. `since`: when the key
        was first used, if that is certain; None: search the whole life of the key. `sent_until`:
        when the last send had ended; None: just now.
        """
        since = self._earliest_use() if since is None else since
        saved_5xx = failed is not None
        adoption = self._search(since, sent_until, saved_5xx=saved_5xx)
        if adoption.chosen is None and saved_5xx and self._paused():
            adoption = self._search(since, saved_5xx=saved_5xx)
        if adoption.chosen is not None:
            return self._own.finish(adoption, "adopted")
        if not self._own.cancel_all(adoption.strays):
            return LookAgain()
        return AttemptOver(self._record, failed)

    def _paused(self) -> bool:
        """Wait before a second look-up; return False at once if there is no time for one."""
        pause = min(MOST_PAUSE_SECONDS, self._deadline.left() * PART_OF_TIME_LEFT)
        if pause < LEAST_PAUSE_SECONDS:
            return False
        self._context.sleep(pause)
        return True

    def _search(
        self, since: float, sent_until: float | None = None, *, saved_5xx: bool = False
    ) -> Adoption:
        found = self._find(since, sent_until, saved_5xx=saved_5xx)
        return choose(found, self._sent.params)

    def _find(self, since: float, sent_until: float | None, *, saved_5xx: bool) -> list[Intent]:
        try:
            found = self._gateway.find(self._record.order, since, self._deadline, sent_until)
        except PaymentError as failed:
            raise _LookUpFailedError(failed, saved_5xx=saved_5xx) from failed
        self._check_moved(found)
        return found

    # A payment that was taken at another gateway, and that the store has forgotten.

    def _check_moved(self, found: list[Intent]) -> None:
        """Rule 22: raise _MovedError if a mark names the payment that took the order's money.

        If that cannot be found out, release the attempt and raise: no payment may follow.
        """
        try:
            named = moved.find_moved(self._context, self._record, found, self._deadline)
        except PaymentError as failed:
            self._own.release(failed, saved_5xx=True)
            raise
        if named is not None:
            raise _MovedError(named, found)

    def _adopt_moved(self, named: NamedPayment, found: list[Intent]) -> LookAgain:
        """Record the payment elsewhere, after everything payable here is canceled (rule 4)."""
        payable = [each for each in found if each.payable]
        if not self._own.cancel_all(each for each in payable if each.status not in TAKEN):
            return LookAgain()
        if not self._own.write(lambda record: moved.adopted(self._context, record, named)):
            return LookAgain()
        self._context.report("adopted", self._record, status=named.intent.status)
        for each in payable:
            if each.status in TAKEN:
                facts = {"payment_intent_id": each.id, "other_payment": named.intent.id}
                self._context.report("two_taken", self._record, **facts)
        return LookAgain()
