"""Before a capture: the payments that the order may have at the open gateways (rule 19)."""

from __future__ import annotations

from payment_service.errors import GatewayUnreachable, PaymentError
from payment_service.gateways.contract import Gateway, NamedPayment
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.payments.context import Context
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.creation.moved import adopted, find_moved
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.order_record import OrderRecord

# The time for each open gateway. Short, because the shopper waits for the capture.
LOOK_SECONDS = 3.0


class Elsewhere:
    """The look of one capture. `record` is the record as the look last wrote it."""

    def __init__(self, context: Context, record: OrderRecord, deadline: Deadline) -> None:
        self.record = record
        self._context, self._deadline = context, deadline

    def taken_payment(self) -> Intent | None:
        """Return the payment that a gateway has taken; the record names it then.

        Cancel every other payment of the order there, each after the record names it as ending
        (rule 4). If a gateway does not answer what it has, the capture waits or goes on, as the
        settings say. It waits for a payment that the gateway shows and that cannot be canceled.
        Raises GatewayUnreachable if it waits, or if a mark names a payment that its gateway does
        not show (rule 22), and RecordChanged.
        """
        for gateway in (self._context.gateway, *self._context.other_gateways.values()):
            deadline = self._deadline.at_most(LOOK_SECONDS)
            try:
                since = transitions.earliest_use_with_leftovers(self.record, gateway.facts)
                found = gateway.find(self.record.order, since, deadline)
            except PaymentError as failed:
                if self._waits():
                    raise _waiting() from failed
                continue
            named = find_moved(self._context, self.record, found, self._deadline)
            taken, left = self._end_all(gateway, found, deadline)
            if named is not None and named.intent.id != self.record.payment_intent_id:
                # Its own witness cancels what is left.
                return self._adopt_named(named, taken)
            if taken:
                return self._adopt(gateway, taken, left)
            if left:
                raise _waiting()
        return None

    def _waits(self) -> bool:
        """Whether a capture waits for the open gateways; without a setting it does."""
        return self._context.failover is None or self._context.failover.capture_waits

    def _end_all(
        self, gateway: Gateway, found: list[Intent], deadline: Deadline
    ) -> tuple[list[Intent], list[Intent]]:
        """Cancel what is not taken; return what is taken, and what could not be canceled.

        Taken payments count whatever becomes of the others: a failed call hides none of them.
        """
        taken = [each for each in found if each.status in TAKEN]
        left = []
        for each in found:
            if each.status in TAKEN or not each.payable:
                continue
            after = self._end(gateway, each, deadline)
            if after.status in TAKEN:
                taken.append(after)
            elif after.status != CANCELED:
                left.append(after)
        return taken, left

    def _end(self, gateway: Gateway, other: Intent, deadline: Deadline) -> Intent:
        """Cancel a payment that no shopper may pay any more; return it as it is known then."""
        ending = transitions.ending(self.record, other.id, self._context.clock())
        self._write(ending)
        try:
            after = cancel_and_check(gateway, other, "duplicate", deadline)
        except PaymentError:
            self._context.report("stray_left", ending, payment_intent_id=other.id)
            return other
        if after.ours:
            self._context.report("stray_canceled", ending, payment_intent_id=other.id)
        return after.intent

    def _adopt(self, gateway: Gateway, taken: list[Intent], left: list[Intent]) -> Intent:
        """Record the newest payment that is taken; nothing is captured at the gated gateway.

        `left`: those that could not be canceled, for which the late look-ups look.
        """
        newest, *others = sorted(taken, key=lambda each: (each.created, each.id), reverse=True)
        params = {"amount": newest.amount, "currency": newest.currency}
        sent = SentParams(gateway.api_version, params, gateway.facts.name)
        now = self._context.clock()
        after = gated_transitions.adopted_elsewhere(self.record, newest, sent, now)
        for each in left:
            after = transitions.replaced(after, each.id, now)
            since = min(after.follow_up.look_since, float(each.created))
            after = after.with_follow_up(look_since=since)
        self._write(self._context.with_shop_event(after, newest))
        facts = {"payment_intent_id": newest.id, "status": newest.status}
        self._context.report("stray_paid", self.record, **facts)
        for each in others:
            facts = {
                "payment_intent_id": each.id,
                "other_payment": newest.id,
                "status": each.status,
            }
            self._context.report("two_taken", self.record, **facts)
        return newest

    def _adopt_named(self, named: NamedPayment, taken: list[Intent]) -> Intent:
        """Record the payment that a mark names, because the store has lost it (rule 22)."""
        self._write(adopted(self._context, self.record, named))
        self._context.report("adopted", self.record, status=named.intent.status)
        for each in taken:
            facts = {"payment_intent_id": each.id, "other_payment": named.intent.id}
            self._context.report("two_taken", self.record, **facts)
        return named.intent

    def _write(self, after: OrderRecord) -> None:
        self._context.records.write(self.record, after)
        self.record = after


def _waiting() -> GatewayUnreachable:
    return GatewayUnreachable(
        "The payment is approved. It is captured once the first gateway has answered what it has "
        "of this order, and has canceled it; ask again."
    )
