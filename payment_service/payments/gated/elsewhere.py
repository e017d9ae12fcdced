"""Before a capture: the payments that the order may have at the open gateways (rule 19)."""

from __future__ import annotations

from payment_service.errors import PaymentError, StripeFailed, StripeUnreachable
from payment_service.gateways.contract import Gateway, NamedPayment
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.payments.context import Context
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.creation.moved import adopted, find_moved
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged

# The time for each open gateway. Short, because the shopper waits for the capture.
LOOK_SECONDS = 3.0


class Elsewhere:
    """The look of one capture. `record` is the record as the look last wrote it."""

    def __init__(self, context: Context, record: OrderRecord, deadline: Deadline) -> None:
        self.record = record
        self._context, self._deadline = context, deadline

    def settle(self) -> Intent | None:
        """Return the payment that a gateway has taken; the record names it then.

        Cancel every other payment of the order there, each after the record names it as ending
        (rule 4). If a gateway does not answer, the capture waits or goes on, as the settings say.
        Raises StripeUnreachable if it waits, or if a mark names a payment that its gateway does
        not show (rule 22), and RecordChanged.
        """
        for gateway in (self._context.gateway, *self._context.other_gateways.values()):
            deadline = self._soon()
            try:
                found = gateway.find(self.record.order, self._since(gateway), deadline)
            except PaymentError as failed:
                self._go_on(failed)
                continue
            named = find_moved(self._context, self.record.order, found, self._deadline)
            try:
                taken = self._taken_of(gateway, found, deadline)
            except RecordChanged:
                raise
            except PaymentError as failed:
                self._go_on(failed)
                taken = []
            if named is not None and named.intent.id != self.record.payment_intent_id:
                return self._adopt_named(named, taken)
            if taken:
                return self._adopt(gateway, taken)
        return None

    def _go_on(self, failed: PaymentError) -> None:
        """Raise StripeUnreachable if the capture waits for the gateway that failed."""
        if self._waits():
            raise StripeUnreachable(
                "The payment is approved. It is captured once the first gateway has answered "
                "what it has of this order; ask again."
            ) from failed

    def _waits(self) -> bool:
        """Whether a capture waits for the open gateways; without a setting it does."""
        return self._context.failover is None or self._context.failover.capture_waits

    def _soon(self) -> Deadline:
        ends_at = min(self._deadline.at, self._deadline.monotonic() + LOOK_SECONDS)
        return Deadline(ends_at, self._deadline.monotonic)

    def _taken_of(self, gateway: Gateway, found: list[Intent], deadline: Deadline) -> list[Intent]:
        """Return the order's payments that the gateway has taken, after the others are canceled."""
        ends = [
            each if each.status in TAKEN else self._end(gateway, each, deadline)
            for each in found
            if each.payable
        ]
        return [each for each in ends if each.status in TAKEN]

    def _since(self, gateway: Gateway) -> float:
        """A day before the first send, of a lost record too, and before those of the leftovers."""
        sends = [each.since for each in self.record.follow_up.leftovers]
        return min(transitions.earliest_use(self.record, gateway.facts), *sends, float("inf"))

    def _end(self, gateway: Gateway, other: Intent, deadline: Deadline) -> Intent:
        """Cancel a payment that no shopper may pay any more; return it as it is then."""
        ending = transitions.ending(self.record, other.id, self._context.clock())
        self._write(ending)
        after = cancel_and_check(gateway, other, "duplicate", deadline)
        if after.ours:
            self._context.report("stray_canceled", ending, payment_intent_id=other.id)
        elif after.intent.status not in (CANCELED, *TAKEN):
            raise StripeFailed("A payment of this order elsewhere could not be canceled.")
        return after.intent

    def _adopt(self, gateway: Gateway, taken: list[Intent]) -> Intent:
        """Record the newest payment that is taken; nothing is captured at the gated gateway."""
        newest, *others = sorted(taken, key=lambda each: (each.created, each.id), reverse=True)
        params = {"amount": newest.amount, "currency": newest.currency}
        sent = SentParams(gateway.api_version, params, gateway.facts.name)
        now = self._context.clock()
        after = gated_transitions.adopted_elsewhere(self.record, newest, sent, now)
        self._write(self._context.with_shop_event(after, newest))
        facts = {"payment_intent_id": newest.id, "status": newest.status}
        self._context.report("stray_paid", self.record, **facts)
        for each in others:
            facts = {"payment_intent_id": each.id, "beside": newest.id, "status": each.status}
            self._context.report("two_taken", self.record, **facts)
        return newest

    def _adopt_named(self, named: NamedPayment, taken: list[Intent]) -> Intent:
        """Record the payment that a mark names, because the store has lost it (rule 22)."""
        self._write(adopted(self._context, self.record, named))
        self._context.report("adopted", self.record, status=named.intent.status)
        for each in taken:
            facts = {"payment_intent_id": each.id, "beside": named.intent.id}
            self._context.report("two_taken", self.record, **facts)
        return named.intent

    def _write(self, after: OrderRecord) -> None:
        self._context.records.write(self.record, after)
        self.record = after
