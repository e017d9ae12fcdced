"""Walk the store and Stripe's list, and repair what a crash or a lost webhook left behind.

    unknown orders         resolved as their next request would resolve them
    Stripe's list          each PaymentIntent that names an order is compared with its record
    slow rails             recorded as processing or similar, and older than the listed period
    gated gateways         payments that are not over: read, captured if approved, claims resolved
    money                  refunds and disputes that the record lacks, unknown refunds and captures,
                           authorizations that lapse soon; see payments.recovery.money

The reconciler calls the same functions as a request or a webhook, and every write is a
compare-and-set: it may run at any time, and twice at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from payment_service.errors import GatewayFailed, PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import (
    CANCELED,
    OVER,
    PROCESSING,
    REQUIRES_ACTION,
    REQUIRES_CAPTURE,
    SUCCEEDED,
    TAKEN,
    Intent,
)
from payment_service.gateways.order_metadata import order_named_in
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.payments.context import Context
from payment_service.payments.creation.adoption import choose
from payment_service.payments.creation.missing_intent import fetch_again
from payment_service.payments.creation.recorded_intent import fetch_recorded, with_fetched
from payment_service.payments.creation.resolve import check_served, is_unknown, resolve
from payment_service.payments.gated.complete import complete, find
from payment_service.payments.observer import Fact, Observation
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged, retry_on_race
from payment_service.payments.recovery.lost_records import adopt_lost
from payment_service.payments.recovery.money import (
    MoneyCheck,
    MoneyFound,
    has_open_money,
    may_have_open_money,
)
from payment_service.payments.recovery.strays import settle_stray
from payment_service.payments.shop_events.catalogue import with_event

log = logging.getLogger(__name__)

# These reach a final status without us, days later; the list may not reach back to their creation.
SLOW = frozenset({PROCESSING, REQUIRES_CAPTURE, REQUIRES_ACTION})

# The subjects of a check, besides the listed PaymentIntents, which are named by their ids.
UNKNOWN, SLOW_RAIL, GATED = "unknown", "slow rail", "gated"


class Tally(Struct):
    """Numbers of orders.

    `adopted`: their PaymentIntent is now recorded; `closed`: their attempt created nothing;
    `noted`: their price changed, or their status changed to anything but paid. `money_noted`:
    refunds or disputes are now recorded; `money_unknown`: a refund or a capture has an unknown
    outcome; `lapsing`: the authorization ends within a day.
    """

    checked: int = 0
    adopted: int = 0
    closed: int = 0
    canceled: int = 0
    paid_late: int = 0
    noted: int = 0
    two_paid: int = 0
    money_noted: int = 0
    money_unknown: int = 0
    lapsing: int = 0
    unresolved: int = 0
    alarms: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        """Return the tally of both runs."""
        return Tally(
            *(getattr(self, each) + getattr(other, each) for each in self.__struct_fields__)
        )

    def shown(self) -> dict[str, int | list[str]]:
        """Return the tally in JSON types."""
        return asdict(self)


class Reconciler:
    """One run; `tally` grows while the caller iterates `steps`. `dry_run` changes nothing."""

    def __init__(
        self,
        context: Context,
        *,
        livemode: bool,
        budget_seconds: float,
        dry_run: bool = False,
        restored: bool = False,
        of_client: Callable[[str | None], bool] = lambda _: True,
    ) -> None:
        """`of_client`: whether a client's orders are in the account; the run skips all others.

        `restored`: the store was restored from a backup, so a PaymentIntent that names an order
        unknown to the store belongs to that order, paid or not.
        """
        self._of_client = of_client
        self.tally = Tally()
        self._observe = context.observe
        self._context = replace(context, observe=self._count)
        self._livemode, self._budget, self._dry_run = livemode, budget_seconds, dry_run
        self._restored = restored
        self._orders: set[Order] = set()
        self._left: set[tuple[Order, str]] = set()
        self._walked: set[str] = set()
        self._money_noted: set[Order] = set()

    def steps(self, since: float) -> Iterator[Order]:
        """Yield each order after its check. `since` (Unix seconds): where the listed period begins.

        Raises PaymentError and StoreUnavailable if the walk itself cannot continue; completed
        repairs remain.
        """
        for record in self._context.records.scan("pending", self._is_unknown):
            yield self._check(record.order, UNKNOWN, partial(self._unknown, record))
        for intent in self._context.gateway.walk(since, self._budget):
            order = self._order_of(intent)
            if order is not None:
                self._walked.add(intent.id)
                yield self._check(order, intent.id, partial(self._listed, order, intent))
        for record in self._context.records.scan("created", self._is_slow):
            yield self._check(record.order, SLOW_RAIL, partial(self._slow, record))
        yield from self._gated_steps()
        yield from self._money_steps(since)

    def _check(self, order: Order, subject: str, work: Callable[[], None]) -> Order:
        """Run one check of an order. A failed check stays failed, even if other checks succeed.

        One exception: any later success clears a failed check of the order as unknown.
        """
        self._orders.add(order)
        self.tally.checked = len(self._orders)
        try:
            work()
            self._left -= {(order, subject), (order, UNKNOWN)}
        except PaymentError as failed:
            self._left.add((order, subject))
            log.warning(
                "an order was not resolved: %s",
                failed.message,
                extra={"order": order.order_id, "client": order.client_id},
            )
        self.tally.unresolved = len({order for order, _ in self._left})
        return order

    # Unknown orders.

    def _unknown(self, record: OrderRecord) -> None:
        if self._dry_run:
            self._would_resolve(record)
            return
        after = resolve(self._context, record, self._deadline())
        if after is None or after.state == "pending":
            return
        if after.state == "created":
            self.tally.adopted += 1
            self.tally.paid_late += after.payment_status == SUCCEEDED
        else:
            self.tally.closed += 1

    def _would_resolve(self, record: OrderRecord) -> None:
        check_served(self._context, record.order)
        if self._context.is_gated(record):
            raise GatewayFailed("Run without --dry-run to ask its gateway and settle it.")
        gateway = self._context.gateway_of(record)
        since = transitions.earliest_use(record, gateway.facts)
        sent_until = transitions.sends_ended_at(record, self._context.timing.lock)
        found = gateway.find(record.order, since, self._deadline(), sent_until)
        adoption = choose(found, record.sent.params)
        self.tally.canceled += len(adoption.strays)
        if adoption.chosen is None:
            raise GatewayFailed(
                "No payment of it is found yet: run without --dry-run to settle it."
            )
        self.tally.adopted += 1

    # Stripe's list.

    def _listed(self, order: Order, intent: Intent) -> None:
        retry_on_race(lambda: self._settle(order, self._context.records.read(order), intent))

    def _settle(self, order: Order, record: OrderRecord | None, intent: Intent) -> None:
        """Compare a listed PaymentIntent with the record. Raises RecordChanged if that changed."""
        if record is None:
            self._lost(order, intent)
        elif record.state == "pending":
            self._in_flight(record)
        elif record.payment_intent_id != intent.id:
            self._stray(record, intent)
        else:
            self._own(record, intent)

    def _lost(self, order: Order, intent: Intent) -> None:
        """Handle an order that the store does not know. The list is newest first (rule 4).

        An unpaid PaymentIntent may be another application's, so adopt it only after a restore.
        """
        if not (intent.status in TAKEN or (self._restored and intent.payable)):
            return
        if not self._dry_run:
            adopt_lost(self._context, order, intent)
        self.tally.adopted += 1
        self.tally.paid_late += intent.status == SUCCEEDED

    def _in_flight(self, record: OrderRecord) -> None:
        """Leave an order in flight alone; resolve one that became unknown since the first walk."""
        if self._dry_run or not is_unknown(record, self._context.clock()):
            return
        self._unknown(record)
        # The order is known now: compare the PaymentIntent with its new record.
        raise RecordChanged

    def _stray(self, record: OrderRecord, listed: Intent) -> None:
        if listed.status == CANCELED:
            return
        # The walk is that of the account's open gateway, wherever the order's payment is (rule 13).
        stray = fetch_again(self._context.gateway, listed, self._deadline())
        if self._dry_run:
            self._would_settle(record, stray)
        else:
            settle_stray(self._context, record, stray, self._deadline())

    def _would_settle(self, record: OrderRecord, stray: Intent) -> None:
        if stray.status == CANCELED:
            return
        if stray.status not in TAKEN:
            self.tally.canceled += 1
        elif record.payment_status in TAKEN:
            self._alarm(record.order, stray.id, record.payment_intent_id)
        else:
            self.tally.adopted += 1

    def _own(self, record: OrderRecord, listed: Intent) -> None:
        if not self._shows_change(record, listed):
            return
        # The list was read before the record, which may be newer.
        intent = fetch_recorded(self._context, record, self._deadline())
        if not self._shows_change(record, intent):
            return
        if not self._dry_run:
            seen = with_fetched(self._context, record, intent, "reconciled")
            self._context.records.write(record, seen)
        paid = intent.status == SUCCEEDED and record.payment_status != SUCCEEDED
        self.tally.paid_late += paid
        self.tally.noted += not paid

    def _shows_change(self, record: OrderRecord, intent: Intent) -> bool:
        """Whether the PaymentIntent has a state, or calls for a shop event, not yet recorded."""
        listened = self._context.listened(record.order)
        unsent = listened and with_event(record, intent, 0.0) is not record
        return unsent or transitions.shows_change(record, intent)

    # Slow rails.

    def _slow(self, scanned: OrderRecord) -> None:
        def compare() -> None:
            record = self._context.records.read(scanned.order)
            if record and record.state == "created" and not self._context.is_gated(record):
                self._own(record, fetch_recorded(self._context, record, self._deadline()))

        retry_on_race(compare)

    def _is_slow(self, record: KeyRecord) -> bool:
        slow = record.payment_status in SLOW and record.payment_intent_id not in self._walked
        return slow and self._is_ours(record)

    # Gated gateways.

    def _gated_steps(self) -> Iterator[Order]:
        if not self._context.gated:
            return
        for record in self._context.records.scan("created", self._may_be_gated):
            if self._context.is_gated(record):
                yield self._check(record.order, GATED, partial(self._gated, record))

    def _gated(self, scanned: OrderRecord) -> None:
        def completed() -> None:
            record = self._context.records.read(scanned.order)
            if record and record.state == "created" and self._context.is_gated(record):
                self._complete(record)

        retry_on_race(completed)

    def _complete(self, record: OrderRecord) -> None:
        """Complete a payment, without another try of one that was declined."""
        if record.payment_status in OVER:
            return
        deadline = self._deadline().earlier(self._context.timing.store)
        if self._dry_run:
            found = find(self._context.gated_gateway_of(record), record, deadline)
            status = found.status if found else CANCELED
        else:
            status = complete(self._context, record, deadline, unattended=True)[1].status
        self.tally.paid_late += status == SUCCEEDED
        self.tally.noted += status not in (SUCCEEDED, record.payment_status)

    def _may_be_gated(self, record: KeyRecord) -> bool:
        """Whether to parse the record; a cheap test of its text."""
        over = record.payment_status in OVER
        return not over and '"gateway":' in record.params and self._is_ours(record)

    # The money after the payment.

    def _money_steps(self, since: float) -> Iterator[Order]:
        check = MoneyCheck(self._context, dry_run=self._dry_run, budget_seconds=self._budget)
        for intent_id in check.moved(since):
            intent = check.fetch(intent_id)
            order = self._order_of(intent) if intent else None
            if intent is not None and order is not None:
                work = partial(self._money, order, partial(check.compare, order, intent))
                yield self._check(order, f"money of {intent_id}", work)
        for record in self._context.records.scan("created", partial(self._may_move, since)):
            if self._moves_money(since, record):
                settle = partial(check.settle, record.order)
                work = partial(self._money, record.order, settle)
                yield self._check(record.order, "open money", work)

    def _money(self, order: Order, work: Callable[[], MoneyFound]) -> None:
        found = work()
        if found.noted:
            self._money_noted.add(order)
        self.tally.money_noted = len(self._money_noted)
        self.tally.lapsing += found.lapsing
        self.tally.money_unknown += found.unknown
        if found.unknown:
            raise GatewayFailed("A refund or a capture has an unknown outcome.")

    def _may_move(self, since: float, record: KeyRecord) -> bool:
        """Whether to parse the record.

        A gated gateway has no list of refunds, so every payment of the period there is read.
        """
        paid = record.payment_status == SUCCEEDED and record.first_sent_at >= since
        gated = bool(self._context.gated) and paid and '"gateway":' in record.params
        return self._is_ours(record) and (gated or may_have_open_money(record))

    def _moves_money(self, since: float, record: OrderRecord) -> bool:
        if not self._context.is_gated(record):
            return has_open_money(record)
        recent = record.first_sent_at >= since
        return record.payment_status == SUCCEEDED and (recent or has_open_money(record))

    # Counting.

    def _count(self, seen: Observation) -> None:
        self._observe(seen)
        if seen.what == "stray_canceled":
            self.tally.canceled += 1
        elif seen.what == "stray_paid":
            self.tally.adopted += 1
            self.tally.paid_late += 1
            self._named(seen)
        elif seen.what == "refunded_twice":
            self.tally.alarms.append(
                f"{seen.what}: {_name(seen.order)} refund {seen.facts['refund_id']}"
            )
        elif seen.what in ("capture_stuck", "paid_before"):
            self._named(seen)
        elif seen.what == "two_taken":
            facts = seen.facts
            self._alarm(seen.order, facts["payment_intent_id"], facts["other_payment"])

    def _named(self, seen: Observation) -> None:
        intent_id = seen.facts["payment_intent_id"]
        self.tally.alarms.append(f"{seen.what}: {_name(seen.order)} {intent_id}")

    def _alarm(self, order: Order, paid: Fact, other: Fact) -> None:
        self.tally.two_paid += 1
        self.tally.alarms.append(f"two_paid: {_name(order)} {paid} and {other}")

    def _order_of(self, intent: Intent) -> Order | None:
        order = order_named_in(intent.metadata, livemode=intent.livemode)
        if order is None or order.livemode != self._livemode:
            return None
        return order if self._of_client(order.client_id) else None

    def _is_unknown(self, record: KeyRecord) -> bool:
        return self._is_ours(record) and is_unknown(record, self._context.clock())

    def _is_ours(self, record: KeyRecord) -> bool:
        order = record.order
        return order.livemode == self._livemode and self._of_client(order.client_id)

    def _deadline(self) -> Deadline:
        return Deadline.after(self._budget)


def _name(order: Order) -> str:
    return f"order {order.order_id!r}" + (f" of {order.client_id!r}" if order.client_id else "")
