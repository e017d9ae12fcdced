"""Claim a refund: store its entry, with a lease, before anything is sent (rules 23 to 26)."""

from __future__ import annotations

from msgspec.structs import replace

from payment_service.errors import BadRequest, GatewayFailed, NotPaid
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import SUCCEEDED
from payment_service.key_store.contract import Order
from payment_service.payments.after_payment.refund_end import Ending
from payment_service.payments.after_payment.refund_parts import Claimed, Look, may_appear, unknown
from payment_service.payments.after_payment.sightings import left_of, with_entry
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded
from payment_service.payments.polling import Polling
from payment_service.payments.record import transitions
from payment_service.payments.record.money import MAX_REFUNDS, RefundEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.request.existing_order import RefundRequest


class RefundClaims:
    """The claims of one request. Each raises RecordChanged if the record has changed since."""

    def __init__(
        self,
        context: Context,
        order: Order,
        request: RefundRequest,
        polling: Polling,
        deadline: Deadline,
    ) -> None:
        self._context, self._order, self._request = context, order, request
        self._polling, self._deadline = polling, deadline

    def claim(self, look: Look, entry: RefundEntry | None) -> Claimed:
        """Claim the key that comes next for the entry; `look` does not show its refund.

        Raises NotPaid, BadRequest, InFlight, and GatewayFailed while the outcome is unknown.
        """
        self._polling.check_time_to_send()
        if entry is None:
            return self._claim_first(look)
        if entry.state == "made":
            # It was made, so it must never be sent again, whatever the list shows now.
            raise GatewayFailed("The gateway does not show a refund that it made.")
        if entry.state == "rejected":
            return self._ask_again(look, entry)
        return self._take_over(look, entry)

    def _claim_first(self, look: Look) -> Claimed:
        own = sum(each.refund_id is not None for each in look.record.follow_up.refunds)
        if own >= MAX_REFUNDS:
            raise BadRequest(
                f"An order can have {MAX_REFUNDS} refunds here, and this one has them all; make "
                "further ones in the gateway's dashboard.",
                code="too_many_refunds",
            )
        return self._begin(look, None)

    def _begin(self, look: Look, over: RefundEntry | None) -> Claimed:
        """Claim a new key. `over`: the entry whose key has made nothing and never will."""
        amount = self._amount(look, over)
        now = self._context.clock()
        assert look.record.payment_intent_id
        money = self._context.money_of(look.record)
        entry = RefundEntry(
            refund_id=self._request.refund_id,
            amount=amount,
            at=round(now, 3) if over is None else over.at,
            fingerprint=self._request.fingerprint,
            intent_id=look.record.payment_intent_id,
            sent=money.params_of_refund(self._request.params(amount)),
            generation=1 if over is None else over.generation + 1,
            first_sent_at=now,
        )
        return self._own(look, entry, "refund claimed", in_doubt=False)

    def next(self, look: Look, over: RefundEntry) -> Claimed:
        """Claim the next key, as the entry's key has made nothing and never will (rule 25)."""
        self._polling.check_time_to_send()
        return self._begin(look, over)

    def _ask_again(self, look: Look, entry: RefundEntry) -> Claimed:
        """Send the rejected key once more, with its stored text.

        The gateway may not have saved the rejection. If another key were used then, the unused one
        could make the refund again after a loss of the record.
        """
        self._check_left(look, entry.amount, entry)
        if entry.spent or self._is_old(look.record, entry):
            return self._begin(look, entry)
        return self._own(look, entry, "refund claimed", in_doubt=False)

    def _take_over(self, look: Look, entry: RefundEntry) -> Claimed:
        """Rules 24 and 25: the same key with the same text, or, if that is spent, the next."""
        if not (entry.spent or self._is_old(look.record, entry)):
            return self._own(look, entry, "refund taken over", in_doubt=True)
        if may_appear(entry, self._context.clock()):
            raise unknown()
        try:
            return self._begin(look, entry)
        except BadRequest as no:
            # The money went elsewhere meanwhile.
            end = Ending(self._context, Claimed(look, entry, in_doubt=False))
            end.reject(no)
            raise

    def _is_old(self, record: OrderRecord, entry: RefundEntry) -> bool:
        """Whether the gateway may have forgotten the key."""
        facts = self._context.money_of(record).facts
        return self._context.clock() - entry.first_sent_at >= facts.key_is_safe_seconds

    def _own(self, look: Look, entry: RefundEntry, what: str, *, in_doubt: bool) -> Claimed:
        """Rules 23 and 26: store the entry with our lease, if the record is the one that we saw."""
        leased_at, now = self._deadline.monotonic(), self._context.clock()
        sent_until = now + self._context.timing.lock
        if in_doubt:
            # The owner before us may be alive, and may have sent just before it lost its lease.
            former = min(entry.sent_until, now + transitions.LONGEST_LOCK_SECONDS)
            sent_until = max(sent_until, former)
        mine = replace(
            entry,
            state="pending",
            owner=self._context.owner(),
            until=now + transitions.LEASE_SECONDS,
            sent_until=sent_until,
            updated_at=round(now, 3),
        )
        facts: dict[str, str | int] = {"refund_id": str(mine.refund_id), "amount": mine.amount}
        claimed = transitions.touched(look.record, now, what, **facts)
        claimed = with_entry(claimed, mine)
        self._context.records.write(look.record, claimed)
        return Claimed(Look(claimed, look.refunds), mine, in_doubt, leased_at)

    # The amount.

    def _amount(self, look: Look, over: RefundEntry | None) -> int:
        """Return the amount to refund (rule 26). Raises NotPaid, BadRequest."""
        left = self._left(look, over)
        amount = self._request.amount
        if amount is None:
            amount = left
        self._check_amount(amount, left)
        return amount

    def _check_left(self, look: Look, amount: int, entry: RefundEntry) -> None:
        self._check_amount(amount, self._left(look, entry))

    def _left(self, look: Look, own: RefundEntry | None) -> int:
        intent = fetch_recorded(self._context, look.record, self._deadline)
        if intent.status != SUCCEEDED:
            raise NotPaid(intent.status)
        money = self._context.money_of(look.record)
        money.check_amount(self._request.amount or 0, str(intent.currency))
        mine = own.refund_id if own else None
        entries = look.record.follow_up.refunds
        others = (each for each in entries if mine is None or each.refund_id != mine)
        return left_of(intent.amount_received or 0, look.refunds, others, self._order)

    @staticmethod
    def _check_amount(amount: int, left: int) -> None:
        if left <= 0 or amount > left:
            raise BadRequest(
                f"Only {max(0, left)} is left to refund.", code="amount_too_large", param="amount"
            )
