"""Update an order's PaymentIntent while it can still be paid.

    fetch ─→ settle an earlier pending update ─→ compare ─→ claim a revision ─→ send
          ─→ record the outcome

Of two simultaneous updates one claims the revision; the other gets the error Changed. The service
stores a claim with its key and params before it sends the update. If the answer is lost, it
therefore resends exactly that update before any other: the update cannot arrive late and undo a
newer one.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from payment_service.errors import (
    GatewayFailed,
    InFlight,
    NoLongerOpen,
    PaymentError,
)
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.gateways.outcome import Declined, Made, Outcome, Unclear
from payment_service.key_store.contract import Order
from payment_service.payments.changes.existing_order import known_record
from payment_service.payments.changes.gated_update import resume_update, update_gated
from payment_service.payments.changes.update_checks import (
    Updated,
    changed,
    compare,
    is_applied,
    known_updates,
)
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded
from payment_service.payments.idempotency_key import PREFIX
from payment_service.payments.record import transitions
from payment_service.payments.record.follow_up import Change
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged, retry_on_race
from payment_service.payments.request.existing_order import UpdateRequest


def update_order(
    context: Context, order: Order, request: UpdateRequest, deadline: Deadline
) -> Updated:
    """Apply an update once.

    Raises Changed for a late copy, for a concurrent update, and if the order is not in the state
    that the caller expected; NoLongerOpen once the PaymentIntent is paid, being paid or canceled;
    NotFound.
    """
    return retry_on_race(lambda: _update(context, order, request, deadline))


def _update(context: Context, order: Order, request: UpdateRequest, deadline: Deadline) -> Updated:
    gateway_deadline = deadline.earlier(context.timing.store)
    if context.gated:
        resumed = resume_update(context, order, request, gateway_deadline)
        if resumed is not None:
            return resumed
    record = known_record(context, order, deadline)
    gated = context.gated_of(record)
    if gated:
        return update_gated(context, gated, record, request, gateway_deadline)
    return _Update(context, record, request, gateway_deadline).run()


class _Update:
    """One try; `run` raises RecordChanged if the record is no longer the one it read."""

    def __init__(
        self, context: Context, record: OrderRecord, request: UpdateRequest, deadline: Deadline
    ) -> None:
        self._context, self._request = context, request
        self._record, self._deadline = record, deadline
        self._gateway = context.gateway_of(self._record)
        self._kept = self._record.follow_up
        self._fingerprint = request.without_revision

    def run(self) -> Updated:
        pending = self._kept.pending
        if pending and transitions.holds(pending.until, self._context.clock()):
            raise self._under_way(pending)
        intent = fetch_recorded(self._context, self._record, self._deadline)
        if intent.status in TAKEN or intent.status == CANCELED:
            raise NoLongerOpen(intent.status)
        if pending:
            self._settle(pending, intent)
            # Nothing is pending now: begin again with the settled record.
            raise RecordChanged
        if is_applied(self._request, self._kept, intent):
            return Updated(intent, self._kept.revision, replayed=True)
        compare(self._request, self._record, intent)
        return self._apply(intent)

    def _under_way(self, pending: Change) -> PaymentError:
        if pending.fingerprint == self._fingerprint:
            return InFlight("This very update is under way.")
        return changed("Another update of this order is under way.", self._record, None)

    # Settling an earlier pending update.

    def _settle(self, pending: Change, intent: Intent) -> None:
        """Determine the outcome of an update whose answer was lost, and record it."""
        now = self._context.clock()
        if now - pending.at >= self._gateway.facts.key_is_safe_seconds:
            # Stripe may have forgotten the key, so do not resend: the PaymentIntent itself shows
            # whether the update was applied.
            self._write(pending, intent if self._shows(intent, pending) else None)
            return
        mine = replace(pending, until=now + self._context.timing.lock)
        taken = transitions.touched(
            self._record, now, "update taken over", revision=pending.revision
        )
        taken = taken.with_follow_up(pending=mine)
        self._context.records.write(self._record, taken)
        self._record = taken
        try:
            self._send(mine, sent_before=True)
        except PaymentError:
            if self._current().follow_up.pending:
                raise

    # This update.

    def _apply(self, intent: Intent) -> Updated:
        """Claim the next revision, then send: one store statement lets a single update through."""
        now, revision = self._context.clock(), self._kept.last_revision + 1
        currency = self._request.currency or intent.currency
        sent = self._gateway.params_of_update(self._request, currency)
        change = Change(
            revision=revision,
            attempt=self._record.attempt,
            fingerprint=self._fingerprint,
            sent=sent,
            key=self._key(revision),
            at=now,
            until=now + self._context.timing.lock,
        )
        claimed = transitions.touched(self._record, now, "update sent", revision=revision)
        known = known_updates(self._request, self._kept)
        claimed = claimed.with_follow_up(pending=change, last_revision=revision, sent=known)
        # From here on the PaymentIntent's own amount decides whether a creation is the same.
        claimed = replace(claimed, fingerprint=transitions.LOST_FINGERPRINT)
        self._context.records.write(self._record, claimed)
        self._record = claimed
        intent = self._send(change)
        return Updated(intent, revision, replayed=False)

    def _key(self, revision: int) -> str:
        """Return the key of an update.

        It contains a nonce because revisions begin at 1 again after the store is lost.
        """
        named = f"{self._record.order!r} {self._record.attempt} {revision} {self._context.owner()}"
        return f"{PREFIX}update-{hashlib.sha256(named.encode()).hexdigest()}"

    # Sending, and recording the outcome.

    def _send(self, change: Change, *, sent_before: bool = False) -> Intent:
        assert self._record.payment_intent_id
        outcome = self._gateway.update(
            self._record.payment_intent_id, change.sent, change.key, self._deadline
        )
        if isinstance(outcome, Made):
            intent = self._as_it_is(change) if outcome.replayed else outcome.intent
            self._write(change, intent)
            return intent
        return self._failed(change, outcome, sent_before=sent_before)

    def _as_it_is(self, change: Change) -> Intent:
        """Fetch the current PaymentIntent: a saved answer shows a past state, a failure none."""
        try:
            intent = fetch_recorded(self._context, self._record, self._deadline)
        except PaymentError:
            self._release(change)
            raise
        if intent.missing:
            self._write(change, None)
            raise NoLongerOpen(intent.status)
        return intent

    def _failed(self, change: Change, outcome: Outcome, *, sent_before: bool) -> Intent:
        """Handle an update without a success: the PaymentIntent shows whether it was applied.

        That works because an update sets values and never adds to them.
        """
        assert not isinstance(outcome, Made)
        if isinstance(outcome, Unclear) and not outcome.saved_5xx:
            self._release(change)
            raise outcome.error
        intent = self._as_it_is(change)
        arrived = self._shows(intent, change) and (sent_before or not _first_no(outcome))
        self._write(change, intent if arrived else None)
        if arrived:
            return intent
        if intent.status in TAKEN or intent.status == CANCELED:
            raise NoLongerOpen(intent.status)
        raise outcome.error if isinstance(outcome, Declined) else _failed_for_now(outcome)

    def _write(self, change: Change, intent: Intent | None) -> None:
        """Record the end of the update: applied if `intent` is given, without effect if not."""
        ours = self._record.version

        def over(held: OrderRecord) -> OrderRecord | None:
            if not _is_pending(held, change):
                return None
            unchanged = held.version == ours
            return _over(held, change, intent, self._context.clock(), unchanged=unchanged)

        if self._context.records.change(self._record, over) and intent:
            self._context.report("updated", self._record, revision=change.revision)

    def _release(self, change: Change) -> None:
        """Release the update's lock, so that the next request can settle it at once."""
        now, facts = self._context.clock(), {"revision": change.revision}

        def released(held: OrderRecord) -> OrderRecord | None:
            if not _is_pending(held, change):
                return None
            noted = transitions.touched(held, now, "update unknown", **facts)
            return noted.with_follow_up(pending=replace(change, until=now))

        self._context.records.change(self._record, released)

    def _shows(self, intent: Intent, change: Change) -> bool:
        """Whether the PaymentIntent has the values that the update sets."""
        return self._gateway.shows(intent, change.sent)

    def _current(self) -> OrderRecord:
        return self._context.records.read(self._record.order) or self._record


def _is_pending(record: OrderRecord, change: Change) -> bool:
    pending = record.follow_up.pending
    return pending is not None and pending.key == change.key


def _over(
    record: OrderRecord, change: Change, intent: Intent | None, now: float, *, unchanged: bool
) -> OrderRecord:
    """Return the record without its pending update.

    `unchanged`: the record was not written since we fetched the PaymentIntent, so it holds no
    newer state.
    """
    if intent is None:
        over = transitions.touched(record, now, "update not applied", revision=change.revision)
        return over.with_follow_up(pending=None)
    if unchanged:
        over = transitions.seen(record, intent, now, "updated", revision=change.revision)
    else:
        over = transitions.touched(record, now, "updated", revision=change.revision)
        if record.payment_intent_id == intent.id:
            over = over.with_follow_up(amount=intent.amount, currency=intent.currency)
    return over.with_follow_up(pending=None, revision=change.revision)


def _first_no(outcome: Outcome) -> bool:
    """Whether Stripe rejected the first send: then the update was not applied."""
    return isinstance(outcome, Declined) and not outcome.after_unresolved and not outcome.replayed


def _failed_for_now(outcome: Outcome) -> PaymentError:
    assert not isinstance(outcome, Made)
    return GatewayFailed(
        "Stripe did not apply the update; send it again.", request_id=outcome.error.request_id
    )
