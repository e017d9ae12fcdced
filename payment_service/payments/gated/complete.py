"""Complete the payment of an order at a gated gateway: ask, capture what is approved, record it.

Requests, events, the job that looks for approvals and the reconciler all call it. The numbers in
comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from payment_service.errors import AlreadyPaid, GatewayFailed, InFlight, PaymentError
from payment_service.gateways.contract import GatedGateway, NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, Intent
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import last_known
from payment_service.payments.gated.capture import Capturing
from payment_service.payments.gated.link import with_link
from payment_service.payments.gated.shop_events import with_event
from payment_service.payments.polling import Polling
from payment_service.payments.record import gated_transitions
from payment_service.payments.record.gated_transitions import Act, Ask
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import MAX_TRIES, RecordChanged

# The longest wait for another process that captures.
MOST_WAIT_SECONDS = 10.0

AT_WORK = "This order's payment is being captured right now."


def complete_with_link(
    context: Context, record: OrderRecord, deadline: Deadline, *, capture: bool = True
) -> tuple[OrderRecord, Intent]:
    """Return the record and its payment after everything that can be done for it now.

    `record`: created, at a gated gateway. `deadline`: of the calls; it must leave the time for the
    last write. Without `capture` nothing is captured, and an approved payment stays approved.

    The record that is returned may be at another gateway: one that had taken the order already
    (rule 19). A payment that needs the shopper has its `redirect_url`, unless the gateway shows
    none any more.

    Raises RecordChanged if the record names another payment by now: read it again. Raises
    AlreadyPaid (rule 21), InFlight while another process captures, Misconfigured, the gateway's
    errors while the outcome is unknown, and StoreUnavailable. The same call, made again, continues.
    """
    after, intent = complete(context, record, deadline, capture=capture)
    lacks_link = intent.status == gated_transitions.NEEDS_SHOPPER and intent.redirect_url is None
    if capture and lacks_link:
        intent = with_link(context, after, intent, deadline)
    return after, intent


def complete(
    context: Context,
    record: OrderRecord,
    deadline: Deadline,
    *,
    capture: bool = True,
    unattended: bool = False,
) -> tuple[OrderRecord, Intent]:
    """Do what `complete_with_link` does, without a new link for the shopper.

    `unattended`: neither a request nor an approval's event asks for it, so a declined payment is
    not tried again, and no other process is waited for.
    """
    return _Completion(context, deadline, capture=capture, unattended=unattended).run(record)


def check_paid_before(context: Context, record: OrderRecord, deadline: Deadline) -> None:
    """Raise AlreadyPaid, unless the payment that was taken before is the recorded one (rule 21).

    Then it is recorded: read the record again. Raises RecordChanged.
    """
    if record.state != "created" or not context.is_gated(record):
        named = record.sent.gateway
        # The mark does not name its gateway, which may not be configured any more.
        raise AlreadyPaid(named if context.is_gated(record) else next(iter(context.gated), named))
    complete(context, record, deadline, capture=False)


class _Completion:
    """One completion: a loop over the states of the record and of the payment."""

    def __init__(
        self, context: Context, deadline: Deadline, *, capture: bool, unattended: bool
    ) -> None:
        self._context, self._deadline = context, deadline
        self._capture, self._unattended = capture, unattended
        self._polling = Polling(context, deadline.at_most(MOST_WAIT_SECONDS))

    def run(self, record: OrderRecord) -> tuple[OrderRecord, Intent]:
        races = 0
        while True:
            try:
                result = self._step(record)
            except RecordChanged:
                races += 1
                if races >= MAX_TRIES:
                    raise
                result = None
            if result is not None:
                return result
            record = self._read_again(record)

    def _step(self, record: OrderRecord) -> tuple[OrderRecord, Intent] | None:
        """Return the result; None to read the record again."""
        match gated_transitions.before_reading(record, self._context.clock()):
            case Ask.PAID_BEFORE:
                return self._paid_before(record)
            case Ask.NOTHING:
                return record, last_known(record)
            case Ask.WAIT if not self._capture:
                return record, last_known(record)
            case Ask.WAIT:
                self._wait()
                return None
            case Ask.READ:
                return self._read(record)

    def _paid_before(self, record: OrderRecord) -> tuple[OrderRecord, Intent]:
        """Rule 21: record the payment if it is this one, of which an earlier send arrived late."""
        gateway = self._context.gated_gateway_of(record)
        with suppress(PaymentError):
            found = find(gateway, record, self._deadline)
            if found is not None and gated_transitions.is_paid(found):
                return self._recorded(record, found), found
        raise AlreadyPaid(record.sent.gateway)

    def _read(self, record: OrderRecord) -> tuple[OrderRecord, Intent]:
        assert record.payment_intent_id
        gateway = self._context.gated_gateway_of(record)
        found = find(gateway, record, self._deadline)
        may = self._capture and (
            not self._unattended or gated_transitions.may_capture_unattended(record)
        )
        now = self._context.clock()
        match gated_transitions.after_reading(record, found, now, capture=may):
            case Act.LAPSED:
                return self._lapsed(record)
            case Act.RECORD if found:
                return self._recorded(record, found), found
            case Act.CAPTURE if found:
                return Capturing(self._context, gateway, self._deadline).first(record, found)
            case Act.CAPTURE_AGAIN if found:
                return Capturing(self._context, gateway, self._deadline).again(record, found)
            case _:
                return self._unknown(record)

    def _recorded(self, record: OrderRecord, found: Intent) -> OrderRecord:
        if not gated_transitions.shows_change(record, found):
            return record
        context, was_claimed = self._context, gated_transitions.is_claimed(record)
        paid = gated_transitions.is_paid(found)
        what = "captured" if paid else "seen"
        after = gated_transitions.seen(record, found, context.clock(), what)
        after = with_event(context, after, found)
        context.records.write(record, after)
        if paid and was_claimed:
            facts = gated_transitions.facts_of(record)
            context.report("captured", after, amount=found.amount_received, **facts)
        return after

    def _lapsed(self, record: OrderRecord) -> tuple[OrderRecord, Intent]:
        """Record that the gateway has forgotten a payment that no capture was sent for."""
        over = replace(last_known(record), status=CANCELED)
        after = gated_transitions.canceled(record, self._context.clock(), "lapsed")
        after = with_event(self._context, after, over)
        self._context.records.write(record, after)
        return after, over

    def _unknown(self, record: OrderRecord) -> tuple[OrderRecord, Intent]:
        """Leave a capture alone whose outcome the gateway does not show (rule 18)."""
        context, now = self._context, self._context.clock()
        if gated_transitions.is_stuck(record, now):
            context.report("capture_stuck", record, **gated_transitions.facts_of(record))
        if self._capture and gated_transitions.is_in_doubt(record, now):
            raise GatewayFailed("The outcome of this order's capture is not known yet.")
        return record, last_known(record)

    def _wait(self) -> None:
        """Wait for the process that captures. Raises InFlight if that takes too long."""
        if self._unattended:
            raise InFlight(AT_WORK)
        self._polling.wait(AT_WORK)

    def _read_again(self, record: OrderRecord) -> OrderRecord:
        """Read the record. Raises RecordChanged if it names another payment."""
        held = self._context.records.read(record.order)
        if held is None or not gated_transitions.is_same_payment(held, record):
            raise RecordChanged
        return held


def find(gateway: GatedGateway, record: OrderRecord, deadline: Deadline) -> Intent | None:
    """Read the recorded payment; None if the gateway does not know it (any more).

    Raises the PaymentErrors of a retrieval.
    """
    assert record.payment_intent_id
    try:
        return gateway.retrieve(record.payment_intent_id, record.sent, deadline)
    except NoSuchIntent:
        return None
