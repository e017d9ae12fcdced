"""Capture an approved payment: the only call that moves money at a gated gateway (rule 18).

    ask elsewhere (19) ─→ claim ─→ capture ─→ record the outcome
                            │         │
                            │         └ crash or lost answer: the claim stays, and the next process
                            └ crash: the same   takes it over, reads, and sends the same request id

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from msgspec.structs import replace

from payment_service.errors import AlreadyPaid, GatewayFailed, InFlight, PaymentError, Refused
from payment_service.gateways.capture_outcome import (
    AccountRefused,
    Captured,
    CaptureOver,
    CaptureUnclear,
    PayerNeeded,
    PaymentGone,
)
from payment_service.gateways.contract import GatedGateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, Intent
from payment_service.gateways.outcome import PaidBefore
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.gated.elsewhere import Elsewhere
from payment_service.payments.gated.shop_events import failure_of, with_event, with_failed_event
from payment_service.payments.idempotency_key import gated_capture_key
from payment_service.payments.record import gated_transitions
from payment_service.payments.record.gated_transitions import NEEDS_SHOPPER
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged

# With less time than this no capture is claimed: its answer would probably be lost.
LEAST_CAPTURE_SECONDS = 2.0

# The time of a claim's sender. If that is killed, the next request waits for so long, and then
# captures itself (complete.MOST_WAIT_SECONDS is longer). PayPal answers in a second or two, and a
# slower answer is found by the read that precedes the next send.
MOST_CAPTURE_SECONDS = 8.0

Result = tuple[OrderRecord, Intent]


class Capturing:
    """One capture by this process. Its methods raise RecordChanged after a lost race."""

    def __init__(self, context: Context, gateway: GatedGateway, deadline: Deadline) -> None:
        self._context, self._gateway, self._deadline = context, gateway, deadline

    def first(self, record: OrderRecord, approved: Intent) -> Result:
        """Capture a payment for which no claim is open, unless another gateway took the order."""
        elsewhere = Elsewhere(self._context, self._noted(record, approved), self._deadline)
        taken = elsewhere.taken_payment()
        if taken is not None:
            return elsewhere.record, taken
        return self._send(self._claim(elsewhere.record, gated_transitions.claimed), approved)

    def again(self, record: OrderRecord, found: Intent) -> Result:
        """Take over the claim of a process that is gone, and send its request id once more."""
        return self._send(self._claim(record, gated_transitions.taken_over), found)

    def _noted(self, record: OrderRecord, approved: Intent) -> OrderRecord:
        """Record the approval: it is looked at soon if the capture must wait (rule 19)."""
        if not gated_transitions.shows_change(record, approved):
            return record
        seen = gated_transitions.seen(record, approved, self._context.clock())
        self._context.records.write(record, seen)
        return seen

    def _claim(
        self, record: OrderRecord, change: Callable[[OrderRecord, float, float], OrderRecord]
    ) -> OrderRecord:
        """Write the claim before the first byte is sent. Raises InFlight without the time."""
        self._deadline = self._deadline.at_most(MOST_CAPTURE_SECONDS)
        left, now = self._deadline.left(), self._context.clock()
        if left < LEAST_CAPTURE_SECONDS:
            raise InFlight("There is no time left to capture this payment now; ask again.")
        mine = change(record, now, now + left)
        self._context.records.write(record, mine)
        return mine

    def _send(self, mine: OrderRecord, known: Intent) -> Result:
        claim = gated_transitions.capture_of(mine)
        if self._context.clock() >= claim.until:
            # This process was suspended: another may have resolved the claim by now.
            raise InFlight("Another process captures this payment right now.")
        assert mine.payment_intent_id
        name = self._gateway.facts.name
        key = gated_capture_key(name, mine.payment_intent_id, claim.number)
        outcome = self._gateway.capture(mine.payment_intent_id, mine.sent, key, self._deadline)
        match outcome:
            case Captured(intent):
                return self._captured(mine, intent)
            case PayerNeeded():
                return self._payer_needed(mine, known, outcome)
            case CaptureOver(error, intent) if intent:
                return self._over(mine, intent, error)
            case CaptureOver(error):
                return self._refused(mine, known, error)
            case PaymentGone(error):
                return self._gone(mine, known, error)
            case AccountRefused(error):
                return self._not_sent(mine, error)
            case PaidBefore(error):
                return self._paid_before(mine, error)
            case CaptureUnclear():
                return self._unclear(mine, outcome)

    # The outcomes, by the table in gateways.capture_outcome.

    def _captured(self, mine: OrderRecord, intent: Intent) -> Result:
        """Record the money, even if another process has taken the claim over meanwhile."""
        context, now = self._context, self._context.clock()
        number = gated_transitions.capture_of(mine).number

        def captured(held: OrderRecord) -> OrderRecord | None:
            if not gated_transitions.is_same_payment(held, mine):
                return None
            if not gated_transitions.shows_change(held, intent):
                return None
            seen = gated_transitions.seen(held, intent, now, "captured", number=number)
            return with_event(context, seen, intent)

        after, facts = context.records.change(mine, captured), gated_transitions.facts_of(mine)
        if after is not None:
            context.report("captured", after, amount=intent.amount_received, **facts)
            return after, intent
        held = context.records.read(mine.order)
        if held is not None and gated_transitions.is_same_payment(held, mine):
            # Another process has recorded it.
            return held, intent
        other = held.payment_intent_id if held else None
        context.report("two_taken", mine, other_payment=other, **facts)
        raise RecordChanged

    def _payer_needed(self, mine: OrderRecord, known: Intent, no: PayerNeeded) -> Result:
        """Send the shopper to the page again; tell the shop of a decline."""
        context, now = self._context, self._context.clock()
        failed = replace(
            known,
            status=NEEDS_SHOPPER,
            amount_capturable=0,
            redirect_url=no.redirect_url,
            failure=failure_of(mine, no.error.code) if no.declined else None,
        )

        def needed(held: OrderRecord) -> OrderRecord:
            back = gated_transitions.payer_needed(
                held, now, declined=no.declined, code=no.error.code
            )
            return with_failed_event(context, back, failed)

        after = self._resolved(mine, needed)
        facts = gated_transitions.facts_of(mine)
        context.report("capture_rejected", after, code=no.error.code, **facts)
        return after, failed

    def _refused(self, mine: OrderRecord, known: Intent, error: Refused) -> Result:
        """End the payment, unless an earlier send may still arrive.

        The refusal tells nothing about that send. So the claim is taken back as after a decline.
        """
        if gated_transitions.may_arrive(mine, self._context.clock()):
            return self._payer_needed(mine, known, PayerNeeded(error, declined=True))
        return self._over(mine, known, error)

    def _over(self, mine: OrderRecord, last: Intent, error: PaymentError) -> Result:
        """Nothing can come of this payment any more: the next request begins another attempt."""
        context, now = self._context, self._context.clock()
        over = replace(last, status=CANCELED, amount_capturable=0)

        def canceled(held: OrderRecord) -> OrderRecord:
            ended = gated_transitions.canceled(held, now, "capture refused", code=error.code)
            return with_event(context, ended, over)

        after = self._resolved(mine, canceled)
        facts = gated_transitions.facts_of(mine)
        context.report("capture_rejected", after, code=error.code, **facts)
        return after, over

    def _gone(self, mine: OrderRecord, known: Intent, error: Refused) -> Result:
        """The gateway does not know the payment: over, unless an earlier send is unresolved."""
        if gated_transitions.is_unresolved(mine):
            self._unknown(mine, error)
        return self._refused(mine, known, error)

    def _not_sent(self, mine: OrderRecord, error: PaymentError) -> NoReturn:
        """This call moved nothing; take the claim back unless an earlier send is unresolved."""
        if gated_transitions.is_unresolved(mine):
            self._unknown(mine, error)
        now = self._context.clock()
        self._resolved(mine, lambda held: gated_transitions.taken_back(held, now, error.code))
        raise error

    def _paid_before(self, mine: OrderRecord, error: PaymentError) -> NoReturn:
        """Rule 21: the order was paid before. Nothing more is sent for it; a person must look."""
        now = self._context.clock()
        after = self._resolved(
            mine, lambda held: gated_transitions.paid_before(held, now, error.code)
        )
        facts = gated_transitions.facts_of(mine)
        self._context.report("paid_before", after, **facts)
        raise AlreadyPaid(mine.sent.gateway) from error

    def _unclear(self, mine: OrderRecord, unclear: CaptureUnclear) -> NoReturn:
        if unclear.nothing_sent:
            self._not_sent(mine, unclear.error)
        self._unknown(mine, unclear.error, alarm=unclear.alarm)

    def _unknown(
        self, mine: OrderRecord, error: PaymentError, *, alarm: str | None = None
    ) -> NoReturn:
        """Keep the claim, so that the next process asks for the outcome."""
        context, now = self._context, self._context.clock()
        facts = gated_transitions.facts_of(mine)
        context.report("capture_unknown", mine, code=error.code, alarm=alarm, **facts)
        try:
            self._resolved(mine, lambda held: gated_transitions.unresolved(held, now, error.code))
        except (StoreUnavailable, RecordChanged):
            # The claim expires anyway, or another process has it.
            context.report("unrecorded", mine, code=error.code)
        if not isinstance(error, Refused):
            raise error
        # A rejection that tells nothing: the same request may succeed.
        raise GatewayFailed(
            "The outcome of this order's capture is not known yet; ask again.",
            request_id=error.request_id,
        ) from error

    def _resolved(
        self, mine: OrderRecord, change: Callable[[OrderRecord], OrderRecord]
    ) -> OrderRecord:
        """Write what became of our claim. Raises RecordChanged if it is no longer ours."""
        after = self._context.records.change(
            mine,
            lambda held: change(held) if gated_transitions.is_claim_of(held, mine) else None,
        )
        if after is None:
            raise RecordChanged
        return after
