"""Create the PaymentIntent of an order once: each request follows the state of the order's record.

    claim ─→ ┌ WAIT        another owner holds the lease: poll with back-off, and look again
             ├ TAKE_OVER ┐
             ├ ASK_AGAIN ┼→ Claimed: attempt and gated_attempt send, look up and record it
             ├ BEGIN_NEXT┘  ─→ Created         the answer
             │                 AttemptOver     begin the next one
             │                 AttemptUnknown  pass the order over, or release it and raise
             │                 LookAgain       read the record
             ├ SERVE       fetch the recorded payment
             └ REFUSE      other parameters

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from payment_service.errors import (
    GatewayNotAccepted,
    GatewayUnreachable,
    Misconfigured,
    NoLongerOpen,
    OrderReused,
    PaymentError,
    Refused,
)
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, Intent
from payment_service.payments.context import Context
from payment_service.payments.creation import moved, serving, switching
from payment_service.payments.creation.attempt import Attempt
from payment_service.payments.creation.claims import Claims
from payment_service.payments.creation.gated_attempt import GatedAttempt
from payment_service.payments.creation.owned_record import raise_if_ours
from payment_service.payments.creation.recorded_intent import find_recorded
from payment_service.payments.creation.states import (
    AttemptOver,
    AttemptResult,
    AttemptUnknown,
    Claimed,
    Created,
    LookAgain,
)
from payment_service.payments.gated.complete import check_paid_before
from payment_service.payments.polling import FIRST_POLL_SECONDS, Polling
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.record.transitions import Step, Wanted
from payment_service.payments.store_errors import store_errors

# Rule 10's bound on the attempts of one request.
MAX_ATTEMPTS_PER_REQUEST = 10

# How many of these may end with a saved 5xx: one new key gets past a failure at Stripe; further
# keys only leave more attempts for the late look-ups.
MAX_FAILED_ATTEMPTS_PER_REQUEST = 2

# The time of a gated gateway whose attempt is being left; the rest is for the next attempt.
LEAVE_SECONDS = 3.0

State = AttemptResult | Claimed | OrderRecord


def create_once(context: Context, wanted: Wanted, deadline: Deadline) -> Created:
    """Return the order's one payment; the state of its record decides the steps.

    Sends nothing to a gateway before its claim is stored (rule 1). Raises PaymentError.
    """
    with store_errors():
        return _Creation(context, wanted, deadline).run()


class _Creation:
    """One creation request: a loop over the states of the order and of our attempt."""

    def __init__(self, context: Context, wanted: Wanted, deadline: Deadline) -> None:
        self._context, self._records, self._wanted = context, context.records, wanted
        self._began = deadline.monotonic()
        # The time for the last write to the store is reserved.
        self._deadline = deadline.earlier(context.timing.store)
        self._attempts = 0
        self._failed_attempts: set[int] = set()
        self._claims = Claims(context, wanted, self._deadline)
        # Rule 17: a request passes its order over once. Then this is why.
        self._passed_over: PaymentError | None = None
        self._polling = Polling(context, self._deadline)

    def run(self) -> Created:
        state: State = self._claim()
        while not isinstance(state, Created):
            match state:
                case Claimed():
                    state = self._carry_out(state)
                case AttemptOver(record, failed):
                    # Health decides where an order begins; this one is at its gateway (rule 20).
                    state = self._begin_next(record, failed, ignore_circuit=True)
                case AttemptUnknown():
                    state = self._pass_over(state)
                case LookAgain():
                    state = self._records.read(self._wanted.order) or self._claim()
                case OrderRecord():
                    state = self._follow(state)
        self._check_accepted(state.gateway)
        return state

    def _claim(self) -> Claimed | OrderRecord:
        """Rules 1 and 5: one store statement picks a single owner before anything is sent."""
        wanted = self._wanted
        if not switching.begins_open(self._context, wanted):
            # An order that has a record needs no probe, and may need no eligible gateway.
            known = self._records.read(wanted.order)
            if known is not None:
                return known
            wanted = switching.begin_at(self._context, wanted)
        return self._claims.first(wanted)

    def _carry_out(self, claimed: Claimed) -> State:
        """Carry out the attempt at the gateway that its record names (rule 13)."""
        record, deadline = claimed.record, self._deadline
        if claimed.leaving:
            return self._leave(claimed)
        if self._context.is_gated(record):
            if claimed.inherited and self._context.failover and self._may_go_back():
                deadline = switching.share(self._context, self._began, deadline)
            try:
                return GatedAttempt(self._context, self._wanted, claimed, deadline).carry_out()
            except Refused as refused:
                if self._passed_over is None:
                    raise
                # The first gateway may take the order later.
                raise self._passed_over from refused
        share = None
        if self._second_place(record) is not None:
            share = switching.share(self._context, self._began, deadline)
        return Attempt(self._context, self._wanted, claimed, deadline, share).carry_out()

    def _leave(self, claimed: Claimed) -> State:
        """Leave an attempt at a gated gateway, unless that shows an approval or a capture of it.

        Without an answer it is left too: the record says that nothing was given out (rule 14).
        """
        deadline = self._deadline.at_most(LEAVE_SECONDS)
        end = GatedAttempt(self._context, self._wanted, claimed, deadline).carry_out()
        if isinstance(end, AttemptOver | AttemptUnknown):
            return self._begin_next(end.record)
        return end

    def _second_place(self, record: OrderRecord) -> Wanted | None:
        """Return where this request can pass a pending order over to; None once it has done so."""
        if self._passed_over or self._context.is_gated(record):
            return None
        return switching.second_place(self._context, self._wanted, record)

    def _may_go_back(self) -> bool:
        """Whether this request can leave the second gateway, from which it got no answer."""
        return self._passed_over is None and switching.begins_open(self._context, self._wanted)

    def _pass_over(self, failed: AttemptUnknown) -> Claimed | AttemptUnknown | LookAgain:
        """Rules 15 and 16: one compare-and-set takes our pending order to the second gateway.

        An attempt at the second one that an earlier request began, and that is without an answer
        again, goes back to the first: nothing of it was given out. If no other gateway
        can take the order, release it and raise the first failure.
        """
        context, elsewhere = self._context, self._second_place(failed.record)
        if context.is_gated(failed.record) and self._may_go_back():
            self._passed_over = failed.error
            return self._begin_next(failed.record, wanted=self._wanted)
        if elsewhere is None or self._deadline.left() <= context.timing.store:
            raise_if_ours(context, self._wanted, failed, self._deadline, self._passed_over)
            return LookAgain()
        if isinstance(failed.error, Misconfigured):
            context.report("account_refused", failed.record, code=failed.error.code)
        self._passed_over, why = failed.error, failed.error.code
        leased_at, lease = self._deadline.monotonic(), context.lease()

        def passed_over(held: OrderRecord) -> OrderRecord | None:
            if not self._claims.owns(held):
                return None
            return switching.next_attempt(context, held, elsewhere, lease, why)

        mine = self._records.change(failed.record, passed_over)
        return LookAgain() if mine is None else self._claims.claimed(failed.record, mine, leased_at)

    def _follow(self, record: OrderRecord) -> State:
        """Take the step that the order's record asks for, by the state table of the rules."""
        context = self._context
        if record.follow_up.paid_before:
            return self._paid_before(record)
        match transitions.next_step(record, self._wanted.fingerprint, self._context.clock()):
            case Step.WAIT if not self._claims.holds(record):
                return self._wait(record)
            case Step.WAIT | Step.TAKE_OVER:
                # If the lease is our own, our write lost a race to a history entry.
                return self._take_over(record)
            case Step.ASK_AGAIN if not switching.is_asked_again(context, self._wanted, record):
                return self._begin_next(record, ignore_circuit=True)
            case Step.ASK_AGAIN:
                mine = transitions.asked_again(record, self._wanted, self._context.lease())
                return self._claims.take(record, mine)
            case Step.BEGIN_NEXT:
                return self._begin_after(record)
            case Step.SERVE if self._is_canceled_at_open(record):
                return self._begin_after(record)
            case Step.SERVE:
                return self._serve(record)
            case Step.REFUSE:
                raise _reused()

    def _paid_before(self, record: OrderRecord) -> LookAgain:
        """Rule 21: send nothing; go on only if the payment taken before is the recorded one."""
        with suppress(RecordChanged):
            check_paid_before(self._context, record, self._deadline)
        return LookAgain()

    def _wait(self, record: OrderRecord) -> Claimed | AttemptUnknown | LookAgain:
        """Rule 7: poll the store with back-off while another owner renews its lease.

        Rule 5: take over if it did not for the whole time of a lease. Stop when too little time is
        left for another read of the store.
        """
        lease = record.owner, record.locked_until
        known = self._context.watch.seen_for(record.order, lease, self._deadline.monotonic())
        if known >= transitions.LEASE_SECONDS:
            return self._take_over(record)
        left = max(transitions.LEASE_SECONDS - known, FIRST_POLL_SECONDS)
        waited = self._polling.wait(
            "This order is being created by another request right now.", left
        )
        self._context.report("waited", record, seconds=waited)
        return LookAgain()

    def _take_over(self, record: OrderRecord) -> Claimed | AttemptUnknown | LookAgain:
        """Rule 2: go on with the attempt as it is.

        But nothing is out of a pending attempt (rules 14 and 15), so one at a gated gateway may be
        left, and one at a gateway whose circuit is open is passed over without another send.
        """
        ours = self._claims.holds(record)
        if not (ours or switching.is_resent(self._context, self._wanted, record)):
            return self._begin_to_leave(record)
        elsewhere = None if ours else self._second_place(record)
        if elsewhere is None and not ours:
            # Its outcome would be of no use to this request, and the record stays as it is.
            self._check_accepted(record.sent.gateway)
        if elsewhere is not None and not switching.lets_through(self._context):
            self._passed_over = GatewayUnreachable("Stripe has not answered the last requests.")
            lease = self._context.lease()
            mine = switching.next_attempt(self._context, record, elsewhere, lease, "circuit_open")
            return self._claims.take(record, mine)
        mine = transitions.taken_over(record, self._context.lease())
        return self._claims.take(record, mine, inherited=True)

    def _begin_to_leave(self, record: OrderRecord) -> Claimed | AttemptUnknown | LookAgain:
        """Take a gated attempt over to send its key again before it is left (rule 14).

        A store that went back may have lost that the shopper has paid it. If the gateway has
        forgotten the key, it makes another payment, which the service gives to no client.
        """
        # Raises BadRequest before the claim if no gateway can take the next attempt.
        switching.begin_at(self._context, self._wanted, record, ignore_circuit=True)
        mine = transitions.taken_over(record, self._context.lease())
        taken = self._claims.take(record, mine, inherited=True)
        return replace(taken, leaving=True) if isinstance(taken, Claimed) else taken

    def _begin_next(
        self,
        record: OrderRecord,
        failed: PaymentError | None = None,
        *,
        wanted: Wanted | None = None,
        ignore_circuit: bool = False,
    ) -> Claimed | AttemptUnknown | LookAgain:
        """Rule 3: begin the next attempt. The caller has checked that the current one is over.

        `failed`: the saved 5xx that ended it in this request. `wanted`: the request at the gateway
        of the next attempt, if that is decided.
        """
        self._attempts += 1
        if failed is not None:
            self._failed_attempts.add(record.attempt)
            if len(self._failed_attempts) >= MAX_FAILED_ATTEMPTS_PER_REQUEST:
                return AttemptUnknown(record, failed, saved_5xx=True)
        if self._attempts >= MAX_ATTEMPTS_PER_REQUEST:
            self._claims.give_up(
                record, failed, "This order went through many attempts; ask again."
            )
        wanted = wanted or switching.begin_at(
            self._context, self._wanted, record, ignore_circuit=ignore_circuit
        )
        why = record.payment_status or record.state
        mine = switching.next_attempt(self._context, record, wanted, self._context.lease(), why)
        return self._claims.take(record, mine, failed=failed)

    def _is_canceled_at_open(self, record: OrderRecord) -> bool:
        """Whether nothing can come of the recorded payment, so that no answer about it is needed.

        A PaymentIntent that was gone may be back, because the account's key is.
        """
        is_over = record.payment_status == CANCELED and not transitions.is_gone(record)
        return bool(self._context.gated) and is_over and not self._context.is_gated(record)

    def _begin_after(self, record: OrderRecord) -> Claimed | AttemptUnknown | LookAgain:
        """Begin the attempt after a canceled one, unless a mark says that it is paid (rule 22).

        Without the open gateway's answer the next attempt begins at the other one, or not at all.
        """
        context, is_created = self._context, record.state == "created"
        if not (context.gated and is_created) or context.is_gated(record):
            return self._begin_next(record)
        if transitions.is_gone(record):
            return self._begin_next(record)
        try:
            intent = find_recorded(context, record, self._deadline)
        except PaymentError:
            elsewhere = switching.second_place(context, self._wanted, record)
            if elsewhere is None:
                raise
            return self._begin_next(record, wanted=elsewhere)
        if intent is not None and self._is_moved(record, intent):
            return LookAgain()
        return self._begin_next(record)

    def _is_moved(self, record: OrderRecord, intent: Intent) -> bool:
        """Whether the record no longer names this payment, whose mark names another (rule 22)."""
        try:
            return moved.adopt_instead(self._context, record, intent, self._deadline)
        except RecordChanged:
            return True

    def _serve(self, record: OrderRecord) -> Created | Claimed | AttemptUnknown | LookAgain:
        """Return the current recorded payment, or begin the next attempt if it is canceled.

        The latter is rule 3. Silence is never taken for a cancellation (rule 15).
        """
        try:
            record, intent = serving.current(self._context, self._wanted, record, self._deadline)
        except RecordChanged:
            return LookAgain()
        if not self._context.is_gated(record) and self._is_moved(record, intent):
            return LookAgain()
        if intent.missing:
            return self._record_missing(record, intent)
        if intent.status == CANCELED:
            return self._begin_next(record)
        self._check_accepted(record.sent.gateway)
        if transitions.shows_change(record, intent):
            serving.note(self._context, record, intent)
        if serving.is_of_another_price(self._context, self._wanted, record, intent):
            raise _reused()
        self._context.report("replayed", record, status=intent.status)
        return Created(intent, replayed=True, gateway=record.sent.gateway)

    def _accepts(self, gateway: str) -> bool:
        return switching.accepts(self._context, self._wanted, gateway)

    def _check_accepted(self, gateway: str) -> None:
        """Raise GatewayNotAccepted for a payment at a gateway that the request does not accept."""
        if not self._accepts(gateway):
            raise GatewayNotAccepted(gateway)

    def _record_missing(self, record: OrderRecord, intent: Intent) -> LookAgain:
        """Record that Stripe no longer has the PaymentIntent; the next attempt follows (rule 3).

        Not if it was paid: the shopper must not pay again (rule 11).
        """
        if intent.status != CANCELED:
            raise NoLongerOpen(intent.status)
        serving.note(self._context, record, intent)
        self._context.report("gone", record, payment_intent_id=intent.id)
        return LookAgain()


def _reused() -> OrderReused:
    return OrderReused(
        "This order was already used with other parameters. Send the same ones again, or update "
        "or cancel the order's PaymentIntent first."
    )
