"""Compare the money after the payment with the records: refunds, captures and disputes.

    moved money     each refund and dispute of the listed period, recorded if the record lacks it
    open money      refunds and captures with an unknown outcome, refunds and disputes under way,
                    authorizations that may lapse

Nothing is sent: a caller asked for a refund, and only a caller may ask again. A refund that nothing
can make any more is closed, which gives its amount back to other refunds.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.gateways.intent import REQUIRES_CAPTURE, SUCCEEDED, TAKEN, Intent
from payment_service.gateways.refund import UNDER_WAY
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.after_payment.record_money import (
    Money,
    fetch_money,
    report_doubled,
    shows_more,
    with_money,
    write_money,
)
from payment_service.payments.after_payment.refund_parts import may_appear
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded
from payment_service.payments.record import transitions
from payment_service.payments.record.money import LAPSES_WITHIN_SECONDS, CaptureEntry, RefundEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import retry_on_race


class MoneyFound(Struct, frozen=True):
    """The result of a check of one order."""

    noted: bool = False
    unknown: bool = False
    lapsing: bool = False


def may_have_open_money(record: KeyRecord) -> bool:
    """Whether to parse the record; a cheap test of its text."""
    kept = record.follow_up
    asked = '"refunds"' in kept or '"disputes"' in kept or '"capture"' in kept
    return asked or record.payment_status == REQUIRES_CAPTURE


def has_open_money(record: OrderRecord) -> bool:
    """Whether a refund, a capture, a dispute or an authorization of the order is not final."""
    kept = record.follow_up
    return (
        record.payment_status == REQUIRES_CAPTURE
        or any(each.state == "pending" or each.status in UNDER_WAY for each in kept.refunds)
        or any(each.is_open for each in kept.disputes)
        or (kept.capture is not None and kept.capture.state == "pending")
    )


class MoneyCheck(Struct, frozen=True):
    """The checks of one account. `dry_run` changes nothing."""

    context: Context
    dry_run: bool
    budget_seconds: float

    def moved(self, since: float) -> Iterator[str]:
        """Yield the PaymentIntents with a refund or a dispute since then. Raises PaymentError."""
        gateway = self.context.gateway
        refunds = gateway.walk_refunds(since, self.budget_seconds)
        disputes = gateway.walk_disputes(since, self.budget_seconds)
        of_refunds = (each.intent_id for each in refunds)
        yield from dict.fromkeys(chain(of_refunds, (each.intent_id for each in disputes)))

    def fetch(self, intent_id: str) -> Intent | None:
        """Return the PaymentIntent, or None. Raises PaymentError."""
        try:
            return self.context.gateway.retrieve(intent_id, self._deadline())
        except NoSuchIntent:
            return None

    def compare(self, order: Order, intent: Intent) -> MoneyFound:
        """Record the refunds and disputes of a PaymentIntent that its order's record lacks."""

        def compared() -> MoneyFound:
            record = self.context.records.read(order)
            if record is None and self.dry_run and intent.status in TAKEN:
                # A run that writes has adopted the order by now.
                return MoneyFound(noted=True)
            if record is None or record.payment_intent_id != intent.id:
                # Lost orders and second payments are found by the walk of the PaymentIntents.
                return MoneyFound()
            noted, _ = self._record(record)
            return MoneyFound(noted=noted)

        return retry_on_race(compared)

    def settle(self, order: Order) -> MoneyFound:
        """Settle what is open of an order's money, as far as the gateway tells."""

        def settled() -> MoneyFound:
            record = self.context.records.read(order)
            if record is None or record.state != "created":
                return MoneyFound()
            noted, after = self._record(record)
            return self._found(after, noted=noted)

        return retry_on_race(settled)

    def _record(self, record: OrderRecord) -> tuple[bool, OrderRecord]:
        """Record what the gateway shows; return whether that is more than the record had.

        Also return the resulting record; with `dry_run`, the record that a real run would write.
        """
        deadline = self._deadline()
        intent = fetch_recorded(self.context, record, deadline)
        if intent.missing and self.context.gated_of(record):
            return False, record
        money = fetch_money(self.context, record, intent, deadline)
        more = shows_more(self.context, record, intent, money)
        closed = self._closed(record, intent, money)
        after = with_money(self.context, closed, intent, money)
        if self.dry_run:
            report_doubled(self.context, record, money.refunds or ())
            return more, after
        if closed is not record:
            self.context.records.write(record, closed)
        if more or transitions.shows_change(record, intent):
            write_money(self.context, closed, intent, money, "reconciled")
        else:
            report_doubled(self.context, record, money.refunds or ())
        return more, after

    def _closed(self, record: OrderRecord, intent: Intent, money: Money) -> OrderRecord:
        """Return the record without the entries that nothing can make any more."""
        now, seen = self.context.clock(), with_money(self.context, record, intent, money)
        refunds = {each.refund_id: each.state for each in seen.follow_up.refunds}
        over = [
            each
            for each in record.follow_up.refunds
            if each.state == "pending"
            and refunds.get(each.refund_id) == "pending"
            and not transitions.entry_is_held(each, now)
            and not may_appear(each, now)
        ]
        capture = record.follow_up.capture
        # An owner that lost its lease may have sent until its own budget ended.
        last_sent_ago = now - self.context.timing.lock - capture.until if capture else 0.0
        no_capture = capture is not None and _is_over(capture, intent, last_sent_ago)
        if not over and not no_capture:
            return record
        closed = transitions.touched(record, now, "money closed", code="nothing_made")
        return closed.with_follow_up(
            refunds=tuple(
                replace(each, state="rejected") if each in over else each
                for each in closed.follow_up.refunds
            ),
            capture=replace(capture, state="rejected") if capture and no_capture else capture,
        )

    def _found(self, record: OrderRecord, *, noted: bool) -> MoneyFound:
        now, kept = self.context.clock(), record.follow_up
        entries: list[RefundEntry | CaptureEntry] = [*kept.refunds]
        if kept.capture is not None and kept.capture.intent_id == record.payment_intent_id:
            entries.append(kept.capture)
        unknown = any(
            each.state == "pending" and not transitions.entry_is_held(each, now) for each in entries
        )
        held = record.payment_status == REQUIRES_CAPTURE and kept.capture_before is not None
        left = (kept.capture_before or 0) - now
        return MoneyFound(noted, unknown, held and 0 < left <= LAPSES_WITHIN_SECONDS)

    def _deadline(self) -> Deadline:
        return Deadline.after(self.budget_seconds)


def _is_over(entry: CaptureEntry, intent: Intent, last_sent_ago: float) -> bool:
    """Whether a capture whose outcome is unknown has not taken place, and never will.

    `last_sent_ago`: seconds since its owner may have sent it last.
    """
    has_arrived = last_sent_ago >= LATEST_ARRIVAL_SECONDS
    return entry.state == "pending" and has_arrived and intent.status != SUCCEEDED
