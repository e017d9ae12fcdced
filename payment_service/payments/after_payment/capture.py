"""Capture the authorization of an order, once.

The gateway lets a PaymentIntent be captured once, so a second capture takes no money. The entry in
the record decides between two amounts: the first one that is claimed is the order's. Its outcome is
always known from the PaymentIntent itself. The numbers in comments are those of the rules in
docs/exactly-once.md.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import (
    AlreadyCaptured,
    BadRequest,
    GatewayFailed,
    InFlight,
    NotAuthorized,
    PaymentError,
)
from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import REQUIRES_CAPTURE, SUCCEEDED, Intent
from payment_service.gateways.outcome import Declined, KeyMisused, Made, Outcome, Unclear
from payment_service.key_store.contract import Order, StoreUnavailable
from payment_service.payments.after_payment.capture_end import ended_by, extension_of
from payment_service.payments.after_payment.entry_lease import EntryLease, is_at_work
from payment_service.payments.after_payment.paid_order import paid_record
from payment_service.payments.after_payment.record_money import ended
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded
from payment_service.payments.idempotency_key import capture_key
from payment_service.payments.polling import Polling
from payment_service.payments.record import transitions
from payment_service.payments.record.money import CaptureEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.request.existing_order import CaptureRequest

_ANOTHER = "Another request captures this order right now."


class CaptureAnswer(Struct, frozen=True):
    """The captured PaymentIntent. `replayed`: it had been captured before."""

    intent: Intent
    amount_captured: int
    replayed: bool


class _Claimed(Struct, frozen=True):
    """The entry that we own. `in_doubt`: an earlier send of this capture may still arrive."""

    record: OrderRecord
    entry: CaptureEntry
    in_doubt: bool
    lease: EntryLease


def capture_order(
    context: Context, order: Order, request: CaptureRequest, deadline: Deadline
) -> CaptureAnswer:
    """Capture the order's authorization, or return the capture that took place.

    Raises NotAuthorized, AlreadyCaptured, BadRequest, NotFound, InFlight, the gateway's rejection,
    and GatewayFailed while the outcome is unknown. Then the same request, sent again, settles it.
    """
    return _Capturing(context, order, request, deadline).run()


class _Capturing:
    """One request, in a loop over the states of the entry and of the PaymentIntent."""

    def __init__(
        self, context: Context, order: Order, request: CaptureRequest, deadline: Deadline
    ) -> None:
        self._context, self._order, self._request = context, order, request
        self._deadline = deadline.earlier(context.timing.store)
        self._polling = Polling(context, self._deadline)
        self._sent = False

    def run(self) -> CaptureAnswer:
        while True:
            try:
                answer = self._step()
            except RecordChanged:
                self._polling.wait("This order is being changed by other requests right now.")
                continue
            if answer is not None:
                return answer

    def _step(self) -> CaptureAnswer | None:
        """Return the answer; None to look again."""
        record = paid_record(self._context, self._order, self._deadline)
        if self._context.gated_of(record):
            # Its only capture is that of the whole amount, which follows the approval.
            raise NotAuthorized(record.payment_status or "unknown")
        intent = fetch_recorded(self._context, record, self._deadline)
        if intent.status == SUCCEEDED:
            return self._captured(record, intent)
        if intent.status != REQUIRES_CAPTURE:
            self._note(record, intent)
            raise NotAuthorized(intent.status)
        entry = self._entry(record)
        if entry is not None and is_at_work(self._context, self._deadline, self._order, entry):
            self._polling.wait(_ANOTHER)
            return None
        return self._send(self._claim(record, entry, intent))

    def _entry(self, record: OrderRecord) -> CaptureEntry | None:
        """Return the entry of a capture that may take place, of this PaymentIntent."""
        entry = record.follow_up.capture
        if entry is None or entry.intent_id != record.payment_intent_id:
            return None
        return entry if entry.state == "pending" else None

    def _captured(self, record: OrderRecord, intent: Intent) -> CaptureAnswer:
        """Record the capture that the PaymentIntent shows. Raises AlreadyCaptured."""
        self._note(record, intent)
        return self._answer(record, intent)

    def _answer(self, record: OrderRecord, intent: Intent) -> CaptureAnswer:
        """Rule 29: confirm the capture only to a request for its amount; AlreadyCaptured else."""
        received, wanted = intent.amount_received or 0, self._request.amount_to_capture
        if wanted is None:
            wanted = _authorized_before(record, intent)
        if wanted != received:
            raise AlreadyCaptured(received)
        return CaptureAnswer(intent, received, replayed=not self._sent)

    def _note(self, record: OrderRecord, intent: Intent) -> None:
        """Record the PaymentIntent, and its event, if it shows something new."""
        entry = self._entry(record)
        if entry is None and not transitions.shows_change(record, intent):
            return
        seen = transitions.seen(record, intent, self._context.clock(), "capture seen")
        if entry is not None:
            seen = seen.with_follow_up(capture=ended(entry, intent))
        self._context.records.write(record, self._context.with_shop_event(seen, intent))
        if intent.status == SUCCEEDED:
            self._context.report("captured", record, amount=intent.amount_received)

    # The claim, stored before anything is sent (rule 23).

    def _claim(self, record: OrderRecord, entry: CaptureEntry | None, intent: Intent) -> _Claimed:
        self._polling.check_time_to_send()
        mine = self._again(record, entry) if entry else self._first(record, intent)
        leased_at, now = self._deadline.monotonic(), self._context.clock()
        until = now + transitions.LEASE_SECONDS
        mine = replace(mine, owner=self._context.owner(), until=until)
        what = "capture taken over" if entry else "capture claimed"
        claimed = transitions.touched(record, now, what, amount=mine.amount)
        claimed = claimed.with_follow_up(capture=mine)
        self._context.records.write(record, claimed)
        lease = EntryLease(
            self._context,
            self._deadline,
            claimed,
            extension_of(mine),
            until=until,
            leased_at=leased_at,
        )
        return _Claimed(claimed, mine, in_doubt=entry is not None, lease=lease)

    def _first(self, record: OrderRecord, intent: Intent) -> CaptureEntry:
        gateway = self._context.gateway_of(record)
        most, now = _authorized_now(intent), self._context.clock()
        amount = self._amount(gateway, intent, most)
        former = record.follow_up.capture
        again = former is not None and former.intent_id == intent.id
        return CaptureEntry(
            intent_id=intent.id,
            amount=amount,
            at=round(now, 3),
            sent=gateway.params_of_capture(amount, most),
            # The key of a rejected capture may hold the rejection.
            generation=former.generation + 1 if former and again else 1,
            first_sent_at=now,
            authorized=most,
        )

    def _again(self, record: OrderRecord, entry: CaptureEntry) -> CaptureEntry:
        """Rule 29: return the entry to send again. Its amount stays, whatever this request names.

        A spent or old key is followed by the next one at once: a PaymentIntent is captured once.
        """
        now, facts = self._context.clock(), self._context.gateway_of(record).facts
        if not entry.spent and now - entry.first_sent_at < facts.key_is_safe_seconds:
            return entry
        return replace(entry, generation=entry.generation + 1, first_sent_at=now, spent=False)

    def _amount(self, gateway: Gateway, intent: Intent, most: int) -> int:
        wanted = self._request.amount_to_capture
        amount = most if wanted is None else wanted
        gateway.check_amount(amount, str(intent.currency), "amount_to_capture")
        if amount > most:
            raise BadRequest(
                f"Only {most} is authorized.", code="amount_too_large", param="amount_to_capture"
            )
        return amount

    # The send, and its outcomes.

    def _send(self, claimed: _Claimed) -> CaptureAnswer | None:
        entry = claimed.entry
        assert entry.sent is not None
        if not claimed.lease.holds():
            # Rule 28: this process was suspended, and another may own the entry by now.
            raise InFlight(_ANOTHER)
        key = capture_key(
            self._order.client_id, self._order.order_id, entry.intent_id, entry.generation
        )
        gateway = self._context.gateway_of(claimed.record)
        with claimed.lease.renewed():
            outcome = gateway.capture(entry.intent_id, entry.sent, key, self._deadline)
        claimed = replace(claimed, record=claimed.lease.record)
        if isinstance(outcome, Made) and not outcome.replayed:
            self._sent = True
            return self._made(claimed, outcome.intent)
        return self._settle(claimed, outcome)

    def _made(self, claimed: _Claimed, intent: Intent) -> CaptureAnswer | None:
        try:
            return self._captured(claimed.record, intent)
        except StoreUnavailable:
            # The PaymentIntent shows the capture, so the next request records it.
            self._context.report("unrecorded", claimed.record, status=intent.status)
            return self._answer(claimed.record, intent)

    def _settle(self, claimed: _Claimed, outcome: Outcome) -> CaptureAnswer | None:
        """The PaymentIntent tells whether the capture took place (rule 29)."""
        if isinstance(outcome, Made):
            # A saved answer shows a past state.
            self._release(claimed, None, spent=True)
            return None
        try:
            intent = fetch_recorded(self._context, claimed.record, self._deadline)
        except PaymentError:
            self._release(claimed, outcome.error, spent=_is_spent(outcome))
            raise
        if intent.status != REQUIRES_CAPTURE:
            # The capture has ended. Release the lease and look again.
            self._release(claimed, None, spent=True)
            return None
        match outcome:
            case Declined(error, after_unresolved=False) if not claimed.in_doubt:
                self._reject(claimed, error)
                raise error
            case Declined() | KeyMisused():
                self._release(claimed, outcome.error, spent=True)
                raise _unknown(outcome.error) from outcome.error
            case Unclear(error):
                replay = claimed.in_doubt and outcome.answered_500
                self._release(claimed, error, spent=_is_spent(outcome) or replay)
                raise error
        raise AssertionError

    def _reject(self, claimed: _Claimed, error: PaymentError) -> None:
        """The only send was rejected, so nothing can capture this amount any more.

        Raises RecordChanged if another request took over meanwhile: its send may capture it.
        """
        if not self._end(claimed, "capture rejected", error, state="rejected"):
            raise RecordChanged
        self._context.report("capture_rejected", claimed.record, code=error.code)

    def _release(self, claimed: _Claimed, error: PaymentError | None, *, spent: bool) -> None:
        """Give the lease back. `error`: why the outcome is unknown, if it is."""
        try:
            self._end(claimed, "capture unknown", error, spent=spent)
        except StoreUnavailable:
            # The lease expires anyway.
            self._context.report("unrecorded", claimed.record)
        if error is not None:
            self._context.report("capture_unknown", claimed.record, code=error.code)

    def _end(
        self, claimed: _Claimed, what: str, error: PaymentError | None, **changes: object
    ) -> bool:
        """Give the lease back; return whether the entry was still ours."""
        change = ended_by(claimed.entry, what, error, self._context.clock(), changes)
        return self._context.records.change(claimed.record, change) is not None


def _authorized_now(intent: Intent) -> int:
    """Return how much can be captured: a bank may authorize less than the amount."""
    held = intent.amount if intent.amount_capturable is None else intent.amount_capturable
    return held or 0


def _authorized_before(record: OrderRecord, intent: Intent) -> int | None:
    """Return how much could be captured; the amount if the capture was made elsewhere."""
    entry = record.follow_up.capture
    if entry is None or entry.intent_id != intent.id or entry.authorized is None:
        return intent.amount
    return entry.authorized


def _is_spent(outcome: Outcome) -> bool:
    return not isinstance(outcome, Unclear) or outcome.saved_5xx


def _unknown(cause: PaymentError) -> GatewayFailed:
    return GatewayFailed(
        "The outcome of this capture is not known yet. Send the same request again.",
        request_id=cause.request_id,
    )
