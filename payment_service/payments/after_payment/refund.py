"""Refund a paid order: each refund_id at most once.

    read the record ─→ list the refunds ─┬→ listed: record it, answer
                                         ├→ not listed, never sent: claim, send
                                         ├→ not listed, perhaps sent: the same key again, or,
                                         │    if the key is spent, unknown until nothing can
                                         │    appear any more, then the next key
                                         └→ another request works on it: wait, read again

A refund cannot be undone, so every send follows a look at the gateway's list, also the resend of a
key. The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, PaymentError, RefundReused
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import OVER, SUCCEEDED
from payment_service.gateways.refund import Refund, refunded_in_all
from payment_service.key_store.contract import Order, StoreUnavailable
from payment_service.payments.after_payment.entry_lease import is_at_work
from payment_service.payments.after_payment.paid_order import paid_record
from payment_service.payments.after_payment.record_money import report_doubled
from payment_service.payments.after_payment.refund_claim import RefundClaims
from payment_service.payments.after_payment.refund_end import Ending
from payment_service.payments.after_payment.refund_parts import (
    ANOTHER_REQUEST,
    Claimed,
    Done,
    KeyOver,
    KeySpent,
    Look,
    unknown,
)
from payment_service.payments.after_payment.refund_send import RefundSend
from payment_service.payments.after_payment.sightings import (
    entry_of,
    shown,
    with_entry,
    with_refunds,
)
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded, with_fetched
from payment_service.payments.gated.complete import complete
from payment_service.payments.polling import Polling
from payment_service.payments.record import transitions
from payment_service.payments.record.money import RefundEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.request.existing_order import RefundRequest

# The keys that one request may use: rejections saved by earlier requests cost one each.
MAX_GENERATIONS_PER_REQUEST = 3


class RefundAnswer(Struct, frozen=True):
    """The current state of a refund. `amount_refunded`: the order's total, without failed refunds.

    `replayed`: an earlier request had made it.
    """

    refund_id: str
    stripe_refund_id: str
    amount: int
    currency: str
    status: str
    amount_refunded: int
    replayed: bool


def refund_order(
    context: Context, order: Order, request: RefundRequest, deadline: Deadline
) -> RefundAnswer:
    """Return the order's refund of this refund_id; make it if no request has made it yet.

    Raises NotPaid, RefundReused, BadRequest, NotFound, InFlight, the gateway's rejection, and
    GatewayFailed while the outcome is unknown. Then the same request, sent again, settles it.
    """
    return _Refunding(context, order, request, deadline).run()


class _Refunding:
    """One request, in a loop over the states of the refund's entry."""

    def __init__(
        self, context: Context, order: Order, request: RefundRequest, deadline: Deadline
    ) -> None:
        self._context, self._order, self._request = context, order, request
        self._deadline = deadline.earlier(context.timing.store)
        self._polling = Polling(context, self._deadline)
        self._claims = RefundClaims(context, order, request, self._polling, self._deadline)
        self._sends = RefundSend(context, self._deadline)

    def run(self) -> RefundAnswer:
        while True:
            try:
                answer = self._step()
            except RecordChanged:
                # Another write came first, so what we saw may be old: look again.
                self._polling.wait("This order is being changed by other requests right now.")
                continue
            if answer is not None:
                return answer

    def _step(self) -> RefundAnswer | None:
        """Return the answer; None to look again."""
        record = paid_record(self._context, self._order, self._deadline, self._request.refund_id)
        entry = entry_of(record, self._request.refund_id)
        if entry is not None:
            self._check_same(entry)
            self._check_intent(record, entry)
            if entry.state == "pending" and self._holds(entry):
                self._polling.wait(ANOTHER_REQUEST)
                return None
        look = self._look(record)
        if self._has_noted_payment(record):
            return None
        return self._adopted(look, entry) or self._send(self._claims.claim(look, entry))

    def _has_noted_payment(self, record: OrderRecord) -> bool:
        """Record a payment that only the gateway knows, so that the shop hears of it first.

        Return whether the record has changed.
        """
        if record.payment_status in OVER:
            return False
        if self._context.gated_of(record):
            after, _ = complete(self._context, record, self._deadline, capture=False)
            return after.version != record.version
        intent = fetch_recorded(self._context, record, self._deadline)
        if intent.status != SUCCEEDED:
            return False
        self._context.records.write(record, with_fetched(self._context, record, intent))
        return True

    def _send(self, claimed: Claimed) -> RefundAnswer:
        """Send the claimed key; after a rejection that an earlier request was given, the next."""
        for _ in range(MAX_GENERATIONS_PER_REQUEST):
            sent = self._sends.send(claimed)
            if isinstance(sent, Done):
                return self._done(claimed, sent)
            if isinstance(sent, KeyOver):
                Ending(self._context, claimed).reject(sent.cause)
            record = self._context.records.read(self._order) or claimed.look.record
            look = self._look(record)
            entry = entry_of(record, self._request.refund_id)
            adopted = self._adopted(look, entry)
            if adopted is not None:
                return adopted
            if isinstance(sent, KeySpent):
                raise unknown(sent.cause) from sent.cause
            if entry is None or (entry.state, entry.generation) != (
                "rejected",
                claimed.entry.generation,
            ):
                # Another request has claimed it since.
                raise RecordChanged
            claimed, cause = self._claims.next(look, claimed.entry), sent.cause
        Ending(self._context, claimed).reject(cause)
        raise cause

    # The record and the gateway's list.

    def _check_same(self, entry: RefundEntry) -> None:
        """Rule 23: raise RefundReused for other parameters; a lost entry knows its amount only."""
        request = self._request
        if entry.fingerprint:
            same = entry.fingerprint == request.fingerprint
        else:
            same = request.amount in (None, entry.amount)
        if not same:
            raise RefundReused(
                "This refund_id was already used with other parameters. Send the same ones again, "
                "or name another refund."
            )

    @staticmethod
    def _check_intent(record: OrderRecord, entry: RefundEntry) -> None:
        """Leave a refund of another PaymentIntent alone: the list would not show it."""
        if entry.intent_id not in ("", record.payment_intent_id):
            raise unknown()

    def _holds(self, entry: RefundEntry) -> bool:
        return is_at_work(self._context, self._deadline, self._order, entry)

    def _look(self, record: OrderRecord) -> Look:
        """List the refunds, after the record was read: a claim fails if it changed since."""
        if record.payment_intent_id is None:
            # The store went back to a version from before the payment.
            raise RecordChanged
        money = self._context.money_of(record)
        refunds = money.list_refunds(record.payment_intent_id, self._deadline)
        report_doubled(self._context, record, refunds)
        return Look(record, refunds)

    def _adopted(self, look: Look, entry: RefundEntry | None) -> RefundAnswer | None:
        """Rules 25, 27 and 31: a refund that the gateway shows is recorded and never sent.

        That holds for a failed one, too. Returns None if the list does not show it.
        """
        found = shown(look.refunds, self._order, self._request.refund_id, entry)
        return self._adopt(look, entry, found[0]) if found else None

    def _adopt(self, look: Look, entry: RefundEntry | None, refund: Refund) -> RefundAnswer:
        same = self._request.amount in (None, refund.amount)
        if entry is None and not same:
            raise RefundReused("This refund_id was already used with another amount.")
        recorded = entry is not None and entry.state == "made"
        if not (recorded and entry and entry.status == refund.status):
            self._record_list(look, "refund adopted" if not recorded else "refund changed")
            if not recorded:
                self._context.report(
                    "refund_adopted", look.record, refund_id=self._request.refund_id
                )
        return self._answer(refund, look.refunds, replayed=True)

    def _with_refunds(self, record: OrderRecord, refunds: Sequence[Refund]) -> OrderRecord:
        context = self._context
        after = with_refunds(record, refunds, context.clock(), context.listened)
        return context.naming_gateway(record, after)

    def _record_list(self, look: Look, what: str) -> None:
        now, facts = self._context.clock(), {"refund_id": self._request.refund_id}
        seen = transitions.touched(look.record, now, what, **facts)
        seen = self._with_refunds(seen, look.refunds)
        if entry_of(seen, self._request.refund_id) is None:
            raise GatewayFailed("The gateway shows a refund that the record cannot hold.")
        seen = self._with_fingerprint(seen)
        self._context.records.write(look.record, seen)

    def _with_fingerprint(self, record: OrderRecord) -> OrderRecord:
        """Give an entry that was rebuilt from the gateway's list the request that it answers."""
        entry = entry_of(record, self._request.refund_id)
        if entry is None or entry.fingerprint or self._request.amount is None:
            return record
        return with_entry(record, replace(entry, fingerprint=self._request.fingerprint))

    def _answer(self, refund: Refund, refunds: list[Refund], *, replayed: bool) -> RefundAnswer:
        known = {each.id: each for each in [*refunds, refund]}
        return RefundAnswer(
            refund_id=self._request.refund_id,
            stripe_refund_id=refund.id,
            amount=refund.amount,
            currency=refund.currency,
            status=refund.status,
            amount_refunded=refunded_in_all(list(known.values())),
            replayed=replayed,
        )

    def _done(self, claimed: Claimed, done: Done) -> RefundAnswer:
        """Record the refund. If that fails, the answer is still true: the list shows the refund."""
        refunds, refund = claimed.look.refunds, done.refund
        if done.replayed:
            # A saved answer shows a past state.
            refunds = self._look_once_more(claimed)
            refund = next((each for each in refunds if each.id == refund.id), refund)
        known = list({each.id: each for each in [*refunds, refund]}.values())
        now, record = self._context.clock(), claimed.look.record
        facts: dict[str, str | int] = {"refund_id": self._request.refund_id}

        def made(held: OrderRecord) -> OrderRecord:
            more: dict[str, str | int] = {"amount": refund.amount, "status": refund.status}
            seen = transitions.touched(held, now, "refunded", **facts, **more)
            return self._with_refunds(seen, known)

        try:
            self._context.records.change(record, made)
        except (StoreUnavailable, RecordChanged):
            self._context.report("unrecorded", record, status=refund.status)
        self._context.report("refunded", record, status=refund.status, **facts)
        return self._answer(refund, known, replayed=done.replayed)

    def _look_once_more(self, claimed: Claimed) -> list[Refund]:
        try:
            return self._look(claimed.look.record).refunds
        except PaymentError as failed:
            Ending(self._context, claimed).release(failed, spent=False)
            raise
