"""One attempt at a gated gateway that we own: create the payment, and record it (rules 13, 14).

The service gives out and captures only what is recorded. So an attempt here leaves nothing to look
for, and another one may follow, whatever its outcome. The numbers in comments are those of the
rules in docs/exactly-once.md.
"""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.errors import AlreadyPaid, GatewayFailed, PaymentError, Refused
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.gateways.outcome import Declined, KeyMisused, Made, PaidBefore, Unclear
from payment_service.payments.context import Context
from payment_service.payments.creation.circuit import note_outcome
from payment_service.payments.creation.owned_record import OwnedRecord
from payment_service.payments.creation.states import (
    AttemptOver,
    AttemptResult,
    AttemptUnknown,
    Claimed,
    Created,
    LookAgain,
)
from payment_service.payments.gated.shop_events import with_event
from payment_service.payments.idempotency_key import idempotency_key
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Wanted


class GatedAttempt:
    """The steps of an attempt's owner. They end before the deadline."""

    def __init__(
        self, context: Context, wanted: Wanted, claimed: Claimed, deadline: Deadline
    ) -> None:
        self._context, self._deadline = context, deadline
        self._sent, self._leaving = claimed.record.sent, claimed.leaving
        self._gateway = context.gated[self._sent.gateway]
        self._own = OwnedRecord(
            context, wanted, claimed.record, deadline, leased_at=claimed.leased_at
        )

    def carry_out(self) -> AttemptResult:
        """Send the attempt's key, and record the outcome.

        Meanwhile the lease is renewed (rule 5). Raises Refused if the gateway rejected the request,
        and AlreadyPaid if it has taken the order before; the record then says so too. A write that
        fails raises StoreUnavailable: without it there is no answer (rule 14).

        An attempt that is being left returns AttemptOver unless its payment is approved, captured
        or over; a rejection raises nothing then.
        """
        leases = self._context.leases
        leases.hold(self._own)
        try:
            end = self._carry_out()
        finally:
            leases.drop(self._own)
        # A renewal after the attempt's end may have written a newer version.
        if isinstance(end, AttemptOver | AttemptUnknown):
            return replace(end, record=self._own.record)
        return end

    def _carry_out(self) -> AttemptResult:
        # Rules 2 and 13: every sender uses the key, the params and the gateway of the record.
        order, facts = self._own.record.order, self._gateway.facts
        number = self._own.record.attempt
        key = idempotency_key(order.client_id, order.order_id, number, facts.name)
        outcome = self._gateway.create(self._sent, key, self._deadline)
        note_outcome(self._context, facts, outcome)
        match outcome:
            case Made(intent):
                return self._leave(intent) if self._leaving else self._made(intent)
            case Declined() if self._leaving:
                return AttemptOver(self._own.record)
            case Declined(refused):
                return self._declined(refused)
            case PaidBefore(refused):
                raise self._paid_before(refused) from refused
            case KeyMisused(error) | Unclear(error):
                return AttemptUnknown(self._own.record, error)

    def _leave(self, made: Intent) -> AttemptResult:
        """Record a payment that the shopper has approved: a lost version has given it out.

        One that is not approved can be left: the service captures what is recorded only.
        """
        record = self._own.record
        try:
            # The answer may be a saved one.
            found = self._gateway.retrieve(made.id, self._sent, self._deadline)
        except PaymentError as failed:
            return AttemptUnknown(record, failed)
        except NoSuchIntent:
            return AttemptUnknown(record, GatewayFailed("The gateway does not show what it made."))
        if found.status == gated_transitions.NEEDS_SHOPPER:
            return AttemptOver(record)
        return self._made(found)

    def _made(self, intent: Intent) -> AttemptResult:
        """Record the payment before the answer. A resend may find it approved, or even paid."""
        context, now = self._context, self._context.clock()

        def made(record: OrderRecord) -> OrderRecord:
            given_out = transitions.created(record, intent, now)
            return with_event(context, gated_transitions.with_next_look(given_out, now), intent)

        if not self._own.write(made):
            # Rule 6: another owner came first, and what we made is recorded nowhere.
            return LookAgain()
        gateway = self._gateway.facts.name
        context.report("created", self._own.record, status=intent.status, gateway=gateway)
        if intent.status != gated_transitions.NEEDS_SHOPPER:
            return LookAgain()
        return Created(intent, replayed=False, gateway=gateway)

    def _declined(self, refused: Refused) -> LookAgain:
        """Rule 8: record a definitive rejection."""
        code, now = refused.code, self._context.clock()
        if not self._own.write(lambda record: transitions.rejected(record, code, now)):
            return LookAgain()
        self._context.report("rejected", self._own.record, code=code)
        raise refused

    def _paid_before(self, refused: Refused) -> AlreadyPaid:
        """Rule 21: the order is paid. The attempt's next owner must not send either."""
        code, now = refused.code, self._context.clock()

        def marked(held: OrderRecord) -> OrderRecord | None:
            if held.follow_up.paid_before:
                return None
            after = gated_transitions.paid_before(held, now, code)
            # A request that is at work loses its lease, and cannot record what it makes.
            if held.state != "pending":
                return after
            return replace(after, owner=transitions.NO_OWNER, locked_until=now)

        self._context.records.change(self._own.record, marked)
        self._context.report("paid_before", self._own.record, code=code)
        return AlreadyPaid(self._gateway.facts.name)
