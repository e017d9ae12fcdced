"""Create the PaymentIntent of an order once: each request follows the state of the order's record.

    claim ─→ ┌ WAIT        another owner holds the lease: poll with back-off, and look again
             ├ TAKE_OVER ┐
             ├ ASK_AGAIN ┼→ Claimed: payments.creation.attempt sends, looks up and records it
             ├ BEGIN_NEXT┘           ─→ Created, AttemptOver (begin the next one) or LookAgain
             ├ SERVE       fetch the recorded PaymentIntent
             └ REFUSE      other parameters

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from typing import NoReturn

from payment_service.errors import InFlight, NoLongerOpen, OrderReused, PaymentError, StoreDown
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.creation.attempt import Attempt
from payment_service.payments.creation.owned_record import OwnedRecord
from payment_service.payments.creation.recorded_intent import fetch_recorded, with_fetched
from payment_service.payments.creation.states import (
    AttemptOver,
    AttemptResult,
    Claimed,
    Created,
    LookAgain,
)
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Step, Wanted

# Rule 10's bound on the attempts of one request.
MAX_ATTEMPTS_PER_REQUEST = 10

# How many of these may end with a saved 5xx: one new key gets past a failure at Stripe; further
# keys only leave more attempts for the late look-ups.
MAX_FAILED_ATTEMPTS_PER_REQUEST = 2

# Back-off while another owner holds the lease: first wait, growth, cap. A creation takes 0.3 s.
FIRST_POLL_SECONDS, POLL_GROWTH, MOST_POLL_SECONDS = 0.05, 1.6, 0.5


State = AttemptResult | Claimed | OrderRecord


def create_once(context: Context, wanted: Wanted, deadline: Deadline) -> Created:
    """Return the order's one PaymentIntent; the state of its record decides the steps.

    Sends nothing to Stripe before its claim is stored (rule 1). Raises PaymentError.
    """
    try:
        return _Creation(context, wanted, deadline).run()
    except StoreUnavailable as down:
        raise StoreDown("The key store does not answer.") from down


class _Creation:
    """One creation request: a loop over the states of the order and of our attempt."""

    def __init__(self, context: Context, wanted: Wanted, deadline: Deadline) -> None:
        self._context, self._records, self._wanted = context, context.records, wanted
        # The time for the last write to the store is reserved.
        self._deadline = deadline.earlier(context.timing.store)
        self._attempts = 0
        self._failed_attempts: set[int] = set()
        self._owner: str | None = None
        self._poll_seconds = FIRST_POLL_SECONDS

    def run(self) -> Created:
        state: State = self._claim()
        while not isinstance(state, Created):
            match state:
                case Claimed():
                    attempt = Attempt(self._context, self._wanted, state, self._deadline)
                    state = attempt.carry_out()
                case AttemptOver(record, failed):
                    state = self._begin_next(record, failed)
                case LookAgain():
                    state = self._records.read(self._wanted.order) or self._claim()
                case OrderRecord():
                    state = self._follow(state)
        return state

    def _claim(self) -> Claimed | OrderRecord:
        """Rules 1 and 5: one store statement picks a single owner before anything is sent."""
        leased_at = self._deadline.monotonic()
        mine = transitions.first_claim(self._wanted, self._context.lease())
        held = self._records.claim(mine)
        if held.owner != mine.owner:
            return held
        self._owner = held.owner
        self._context.report("claimed", held)
        return Claimed(held, inherited=False, leased_at=leased_at)

    def _follow(self, record: OrderRecord) -> State:
        """Take the step that the order's record asks for, by the state table of the rules."""
        match transitions.next_step(record, self._wanted.fingerprint, self._context.clock()):
            case Step.WAIT if record.owner != self._owner:
                return self._wait(record)
            case Step.WAIT | Step.TAKE_OVER:
                # If the lease is our own, our write lost a race to a history entry.
                return self._take_over(record)
            case Step.ASK_AGAIN:
                mine = transitions.asked_again(record, self._wanted, self._context.lease())
                return self._take(record, mine)
            case Step.BEGIN_NEXT:
                return self._begin_next(record)
            case Step.SERVE:
                return self._serve(record)
            case Step.REFUSE:
                raise _reused()

    def _wait(self, record: OrderRecord) -> Claimed | LookAgain:
        """Rule 7: poll the store with back-off while another owner renews its lease.

        Rule 5: take over if it did not for the whole time of a lease. Stop when too little time is
        left for another read of the store.
        """
        lease = record.owner, record.locked_until
        known = self._context.watch.seen_for(record.order, lease, self._deadline.monotonic())
        if known >= transitions.LEASE_SECONDS:
            return self._take_over(record)
        left = max(transitions.LEASE_SECONDS - known, FIRST_POLL_SECONDS)
        seconds = min(self._poll_seconds, left)
        if self._deadline.left() <= seconds:
            raise InFlight("This order is being created by another request right now.")
        self._context.report("waited", record, seconds=seconds)
        self._context.sleep(seconds)
        self._poll_seconds = min(self._poll_seconds * POLL_GROWTH, MOST_POLL_SECONDS)
        return LookAgain()

    def _take_over(self, record: OrderRecord) -> Claimed | LookAgain:
        mine = transitions.taken_over(record, self._context.lease())
        return self._take(record, mine, inherited=True)

    def _take(
        self,
        held: OrderRecord,
        mine: OrderRecord,
        *,
        inherited: bool = False,
        failed: PaymentError | None = None,
    ) -> Claimed | LookAgain:
        """Rule 5: become the owner if the record is still the one we read, else follow it.

        Give up if a slow store could not record the result in time.
        """
        # Before the claim, so that a record whose gateway is not configured here stays unchanged.
        self._context.gateway_of(mine)
        if self._deadline.left() <= self._context.timing.store:
            message = "There is no time left to create this order now; ask again."
            self._give_up(held, failed, message, mine if mine.attempt > held.attempt else None)
        leased_at = self._deadline.monotonic()
        if not self._records.replace(held, mine):
            return LookAgain()
        self._owner = mine.owner
        again = mine.attempt == held.attempt
        self._context.report(
            ("taken_over" if inherited else "claimed") if again else "next_attempt", mine
        )
        sent_until = transitions.sends_ended_at(held, self._context.timing.lock)
        return Claimed(mine, inherited, leased_at, sent_until, begun=not again)

    def _begin_next(
        self, record: OrderRecord, failed: PaymentError | None = None
    ) -> Claimed | LookAgain:
        """Rule 3: begin the next attempt. The caller has checked that the current one is over.

        `failed`: the saved 5xx that ended it in this request.
        """
        self._attempts += 1
        if failed is not None:
            self._failed_attempts.add(record.attempt)
        if (
            self._attempts >= MAX_ATTEMPTS_PER_REQUEST
            or len(self._failed_attempts) >= MAX_FAILED_ATTEMPTS_PER_REQUEST
        ):
            self._give_up(record, failed, "This order went through many attempts; ask again.")
        mine = transitions.next_attempt(record, self._wanted, self._context.lease())
        return self._take(record, mine, failed=failed)

    def _give_up(
        self,
        record: OrderRecord,
        failed: PaymentError | None,
        message: str,
        begun: OrderRecord | None = None,
    ) -> NoReturn:
        """Release the attempt if we own it; raise `failed`, or InFlight with the message.

        After the release, the next request need not wait for the lease. `begun`: the attempt that
        could follow, as this one is over (rule 3).
        """
        why = failed or InFlight(message)
        ours = record.state == "pending" and record.owner == self._owner
        if ours and not (begun and self._put_off(record, begun)):
            mine = OwnedRecord(self._context, self._wanted, record, self._deadline)
            mine.release(why, saved_5xx=failed is not None)
        raise why

    def _put_off(self, record: OrderRecord, begun: OrderRecord) -> bool:
        """Record the next attempt, so that a request with more time left can send it.

        Otherwise the next request would repeat the same slow look-up and run out of time too.
        """
        try:
            written = self._records.replace(
                record, transitions.put_off(begun, self._context.clock())
            )
        except StoreUnavailable:
            return False
        if written:
            self._context.report("put_off", begun)
        return written

    def _serve(self, record: OrderRecord) -> Created | Claimed | LookAgain:
        """Return the current recorded PaymentIntent, or begin the next attempt if it is canceled.

        The latter is rule 3.
        """
        intent = fetch_recorded(self._context, record, self._deadline)
        if intent.missing:
            return self._record_missing(record, intent)
        if intent.status == CANCELED:
            return self._begin_next(record)
        if transitions.shows_change(record, intent):
            self._note(record, intent)
        if self._is_of_another_price(record, intent):
            raise _reused()
        self._context.report("replayed", record, status=intent.status)
        return Created(intent, replayed=True)

    def _record_missing(self, record: OrderRecord, intent: Intent) -> LookAgain:
        """Record that Stripe no longer has the PaymentIntent; the next attempt follows (rule 3).

        Not if it was paid: the shopper must not pay again (rule 11).
        """
        if intent.status != CANCELED:
            raise NoLongerOpen(intent.status)
        self._note(record, intent)
        self._context.report("gone", record, payment_intent_id=intent.id)
        return LookAgain()

    def _is_of_another_price(self, record: OrderRecord, intent: Intent) -> bool:
        """Whether the shopper would pay another amount than the shop's request names.

        Never once the payment is taken: the shopper pays nothing more then.
        """
        if record.fingerprint == transitions.LOST_FINGERPRINT:
            return intent.status not in TAKEN and not intent.costs(self._wanted.sent.params)
        return intent.asks_otherwise(self._wanted.sent.params)

    def _note(self, record: OrderRecord, intent: Intent) -> None:
        """Record the status seen at Stripe; the answer does not depend on this write."""
        try:
            self._records.replace(record, with_fetched(self._context, record, intent))
        except StoreUnavailable:
            self._context.report("unrecorded", record, status=intent.status)


def _reused() -> OrderReused:
    return OrderReused(
        "This order was already used with other parameters. Send the same ones again, or update "
        "or cancel the order's PaymentIntent first."
    )
