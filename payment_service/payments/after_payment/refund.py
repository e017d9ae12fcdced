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

from collections.abc import Callable
from dataclasses import dataclass, replace

from payment_service.errors import (
    BadRequest,
    InFlight,
    NotPaid,
    PaymentError,
    RefundReused,
    StripeFailed,
)
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Declined, KeyMisused, Refunded, RefundOutcome, Unclear
from payment_service.gateways.refund import Refund, refunded_in_all
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import Order, StoreUnavailable
from payment_service.payments.after_payment.paid_order import Polling, paid_record
from payment_service.payments.after_payment.record_money import report_doubled
from payment_service.payments.after_payment.sightings import (
    entry_of,
    left_of,
    shown,
    with_entry,
    with_refunds,
)
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded
from payment_service.payments.idempotency_key import refund_key
from payment_service.payments.record import transitions
from payment_service.payments.record.money import MAX_REFUNDS, RefundEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged
from payment_service.payments.request.existing_order import RefundRequest

# No refund appears later than this after its last send: neither a request that is still under way,
# nor the object of a 500 (docs.stripe.com/error-low-level).
LATE_SECONDS = 3600.0

# How long a caller should wait before it asks again for a refund whose key is spent.
ASK_AGAIN_SECONDS = 60.0

# The keys that one request may use: rejections saved by earlier requests cost one each.
MAX_GENERATIONS_PER_REQUEST = 3

_ANOTHER = "Another request works on this refund right now."


@dataclass(frozen=True, slots=True)
class RefundAnswer:
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


@dataclass(frozen=True, slots=True)
class _Look:
    """The record, and then the gateway's list of refunds: in this order, see rule 26."""

    record: OrderRecord
    refunds: list[Refund]


@dataclass(frozen=True, slots=True)
class _Claimed:
    """The entry that we own. `in_doubt`: an earlier send of its key may have made the refund."""

    look: _Look
    entry: RefundEntry
    in_doubt: bool


class _NextGeneration(Exception):
    """The gateway saved a rejection under this key before: it made nothing, and never will."""

    def __init__(self, cause: PaymentError) -> None:
        super().__init__()
        self.cause = cause


def refund_order(
    context: Context, order: Order, request: RefundRequest, deadline: Deadline
) -> RefundAnswer:
    """Return the order's refund of this refund_id; make it if no request has made it yet.

    Raises NotPaid, RefundReused, BadRequest, NotFound, InFlight, the gateway's rejection, and
    StripeFailed while the outcome is unknown. Then the same request, sent again, settles it.
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
        self._generations = 0

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
                self._polling.wait(_ANOTHER)
                return None
        look = self._look(record)
        found = shown(look.refunds, self._order, self._request.refund_id, entry)
        if found:
            return self._adopt(look, entry, found[0])
        claimed = self._claim(look, entry)
        while True:
            try:
                return self._send(claimed)
            except _NextGeneration as over:
                look = self._look(claimed.look.record)
                found = shown(look.refunds, self._order, self._request.refund_id, claimed.entry)
                if found:
                    return self._adopt(look, claimed.entry, found[0])
                claimed = self._begin_next(look, claimed, over.cause)

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
            raise _unknown()

    def _holds(self, entry: RefundEntry) -> bool:
        return transitions.holds(entry.until, self._context.clock())

    def _look(self, record: OrderRecord) -> _Look:
        """List the refunds, after the record was read: a claim fails if it changed since."""
        if record.payment_intent_id is None:
            # The store went back to a version from before the payment.
            raise RecordChanged
        gateway = self._context.gateway_of(record)
        refunds = gateway.list_refunds(record.payment_intent_id, self._deadline)
        report_doubled(self._context, record, refunds)
        return _Look(record, refunds)

    def _adopt(self, look: _Look, entry: RefundEntry | None, refund: Refund) -> RefundAnswer:
        """Rules 25, 27 and 31: the gateway has this refund, so it is recorded and never sent.

        That holds for a failed one, too.
        """
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

    def _record_list(self, look: _Look, what: str) -> None:
        now, facts = self._context.clock(), {"refund_id": self._request.refund_id}
        seen = transitions.touched(look.record, now, what, **facts)
        seen = with_refunds(seen, look.refunds, now, self._context.listened)
        if entry_of(seen, self._request.refund_id) is None:
            raise StripeFailed("Stripe shows a refund that the record cannot hold.")
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

    # Claims: the entry is stored before anything is sent (rule 23).

    def _claim(self, look: _Look, entry: RefundEntry | None) -> _Claimed:
        self._polling.check_time_to_send()
        if entry is None:
            return self._claim_first(look)
        if entry.state == "made":
            # It was made, so it must never be sent again, whatever the list shows now.
            raise StripeFailed("Stripe does not show a refund that it made.")
        if entry.state == "rejected":
            return self._ask_again(look, entry)
        return self._take_over(look, entry)

    def _claim_first(self, look: _Look) -> _Claimed:
        own = sum(each.refund_id is not None for each in look.record.follow_up.refunds)
        if own >= MAX_REFUNDS:
            raise BadRequest(
                f"An order can have {MAX_REFUNDS} refunds here, and this one has them all; make "
                "further ones in Stripe's dashboard.",
                code="too_many_refunds",
            )
        return self._begin(look, None)

    def _begin(self, look: _Look, over: RefundEntry | None) -> _Claimed:
        """Claim a new key. `over`: the entry whose key has made nothing and never will."""
        amount = self._amount(look, over)
        now = self._context.clock()
        assert look.record.payment_intent_id
        gateway = self._context.gateway_of(look.record)
        entry = RefundEntry(
            refund_id=self._request.refund_id,
            amount=amount,
            at=round(now, 3) if over is None else over.at,
            fingerprint=self._request.fingerprint,
            asked=self._request.amount is not None,
            intent_id=look.record.payment_intent_id,
            sent=SentParams(gateway.api_version, self._request.params(amount), gateway.facts.name),
            generation=1 if over is None else over.generation + 1,
            first_sent_at=now,
        )
        return self._own(look, entry, "refund claimed", in_doubt=False)

    def _begin_next(self, look: _Look, claimed: _Claimed, cause: PaymentError) -> _Claimed:
        """Rule 25: the saved rejection proves that this key makes nothing."""
        self._generations += 1
        self._polling.check_time_to_send()
        if self._generations >= MAX_GENERATIONS_PER_REQUEST:
            self._reject(claimed, cause)
            raise cause
        return self._begin(look, claimed.entry)

    def _ask_again(self, look: _Look, entry: RefundEntry) -> _Claimed:
        """Send the rejected key once more, with its stored text.

        The gateway may not have saved the rejection. If another key were used then, the unused one
        could make the refund again after a loss of the record.
        """
        self._check_left(look, entry.amount, entry)
        if self._is_old(look.record, entry):
            return self._begin(look, entry)
        return self._own(look, entry, "refund claimed", in_doubt=False)

    def _take_over(self, look: _Look, entry: RefundEntry) -> _Claimed:
        """Rules 24 and 25: the same key with the same text, or, if that is spent, the next."""
        if not (entry.spent or self._is_old(look.record, entry)):
            return self._own(look, entry, "refund taken over", in_doubt=True)
        if may_appear(entry, self._context.clock()):
            raise _unknown()
        try:
            return self._begin(look, entry)
        except BadRequest as no:
            self._reject(_Claimed(look, entry, in_doubt=False), no)
            raise

    def _is_old(self, record: OrderRecord, entry: RefundEntry) -> bool:
        """Whether the gateway may have forgotten the key."""
        facts = self._context.gateway_of(record).facts
        return self._context.clock() - entry.first_sent_at >= facts.key_is_safe_seconds

    def _own(self, look: _Look, entry: RefundEntry, what: str, *, in_doubt: bool) -> _Claimed:
        """Rules 23 and 26: store the entry with our lease, if the record is the one that we saw."""
        now, until = self._context.clock(), self._context.clock() + self._context.timing.lock
        mine = replace(
            entry,
            state="pending",
            owner=self._context.owner(),
            until=until,
            sent_until=until,
            updated_at=round(now, 3),
        )
        facts: dict[str, str | int] = {"refund_id": str(mine.refund_id), "amount": mine.amount}
        claimed = transitions.touched(look.record, now, what, **facts)
        claimed = with_entry(claimed, mine)
        self._context.records.write(look.record, claimed)
        return _Claimed(_Look(claimed, look.refunds), mine, in_doubt)

    # The amount.

    def _amount(self, look: _Look, over: RefundEntry | None) -> int:
        """Return the amount to refund (rule 26). Raises NotPaid, BadRequest."""
        left = self._left(look, over)
        amount = self._request.amount
        if amount is None:
            amount = left
        self._check_amount(amount, left)
        return amount

    def _check_left(self, look: _Look, amount: int, entry: RefundEntry) -> None:
        self._check_amount(amount, self._left(look, entry))

    def _left(self, look: _Look, own: RefundEntry | None) -> int:
        intent = fetch_recorded(self._context, look.record, self._deadline)
        if intent.status != "succeeded":
            raise NotPaid(intent.status)
        gateway = self._context.gateway_of(look.record)
        gateway.check_amount(self._request.amount or 0, str(intent.currency))
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

    # The send, and its outcomes.

    def _send(self, claimed: _Claimed) -> RefundAnswer:
        entry = claimed.entry
        assert entry.sent is not None
        if self._context.clock() >= entry.until:
            # Rule 28: this process was suspended, and another may own the entry by now.
            raise InFlight(_ANOTHER)
        # Rule 24: every sender uses the key and the text of the entry.
        key = refund_key(
            self._order.client_id, self._order.order_id, str(entry.refund_id), entry.generation
        )
        gateway = self._context.gateway_of(claimed.look.record)
        outcome = gateway.refund(entry.intent_id, entry.sent, key, self._deadline)
        if isinstance(outcome, Refunded):
            return self._made(claimed, outcome)
        return self._failed(claimed, outcome)

    def _made(self, claimed: _Claimed, made: Refunded) -> RefundAnswer:
        """Record the refund. If that fails, the answer is still true: the list shows the refund."""
        refunds, refund = claimed.look.refunds, made.refund
        if made.replayed:
            # A saved answer shows a past state.
            refunds = self._look(claimed.look.record).refunds
            refund = next((each for each in refunds if each.id == refund.id), refund)
        known = list({each.id: each for each in [*refunds, refund]}.values())
        now = self._context.clock()

        def made_now(held: OrderRecord) -> OrderRecord:
            facts: dict[str, str | int] = {"refund_id": self._request.refund_id}
            facts |= {"amount": refund.amount, "status": refund.status}
            seen = transitions.touched(held, now, "refunded", **facts)
            return with_refunds(seen, known, now, self._context.listened)

        try:
            self._context.records.change(claimed.look.record, made_now)
        except (StoreUnavailable, RecordChanged):
            self._context.report("unrecorded", claimed.look.record, status=refund.status)
        self._context.report(
            "refunded", claimed.look.record, refund_id=self._request.refund_id, status=refund.status
        )
        return self._answer(refund, known, replayed=made.replayed)

    def _failed(self, claimed: _Claimed, outcome: RefundOutcome) -> RefundAnswer:
        match outcome:
            case Declined(error, replayed=True, after_unresolved=False):
                # Rule 10: an earlier request was rejected under this key.
                raise _NextGeneration(error)
            case Declined(error, replayed=replayed, after_unresolved=after) if replayed or not (
                after or claimed.in_doubt
            ):
                self._reject(claimed, error)
                raise error
            case Unclear(error, saved_5xx=saved) if not saved and not (
                claimed.in_doubt and outcome.answered_500
            ):
                self._release(claimed, error, spent=False)
                raise error
            case Declined() | KeyMisused() | Unclear():
                return self._spend(claimed, outcome.error)
        raise AssertionError

    def _spend(self, claimed: _Claimed, error: PaymentError) -> RefundAnswer:
        """The key tells nothing more, now or later: look once, then leave the refund unknown.

        A saved 5xx, other parameters under the key, or a rejection of a resend (rule 25).
        """
        self._release(claimed, error, spent=True)
        record = self._context.records.read(self._order) or claimed.look.record
        look = self._look(record)
        found = shown(look.refunds, self._order, self._request.refund_id, claimed.entry)
        if found:
            return self._adopt(look, entry_of(record, self._request.refund_id), found[0])
        raise _unknown(error) from error

    def _reject(self, claimed: _Claimed, error: PaymentError) -> None:
        """Record that this key made nothing (rule 8)."""
        self._end(claimed, "refund rejected", error, state="rejected")
        self._context.report(
            "refund_rejected",
            claimed.look.record,
            refund_id=self._request.refund_id,
            code=error.code,
        )

    def _release(self, claimed: _Claimed, error: PaymentError, *, spent: bool) -> None:
        """Leave the refund unknown, so that the next request can settle it."""
        try:
            self._end(claimed, "refund unknown", error, spent=claimed.entry.spent or spent)
        except StoreUnavailable:
            # The lease expires anyway, and the next request learns the same from the gateway.
            self._context.report("unrecorded", claimed.look.record, code=error.code)
        self._context.report(
            "refund_unknown",
            claimed.look.record,
            refund_id=self._request.refund_id,
            code=error.code,
        )

    def _end(self, claimed: _Claimed, what: str, error: PaymentError, **changes: object) -> None:
        """Write the end of our work on the entry, if it is still ours."""
        now, facts = self._context.clock(), {"refund_id": self._request.refund_id}
        change = _ended(claimed.entry, what, error.code, now, facts, changes)
        self._context.records.change(claimed.look.record, change)


def may_appear(entry: RefundEntry, now: float) -> bool:
    """Whether the refund of a pending entry that the list does not show may yet appear."""
    # A clock that ran ahead may have written the time; no send lasts longer than a lock.
    ended = min(entry.sent_until, now + transitions.LONGEST_LOCK_SECONDS)
    return now - ended < LATE_SECONDS


def _ended(
    mine: RefundEntry,
    what: str,
    code: str,
    now: float,
    facts: dict[str, str],
    changes: dict[str, object],
) -> Callable[[OrderRecord], OrderRecord | None]:
    def ended(held: OrderRecord) -> OrderRecord | None:
        entry = entry_of(held, str(mine.refund_id))
        if entry is None or _place(entry) != _place(mine):
            return None
        over = replace(entry, until=now, sent_until=now, updated_at=round(now, 3), **changes)  # type: ignore[arg-type]
        return with_entry(transitions.touched(held, now, what, code=code, **facts), over)

    return ended


def _place(entry: RefundEntry) -> tuple[str, str, int]:
    """The fields that tell whether an entry is still the one that its owner wrote."""
    return entry.state, entry.owner, entry.generation


def _unknown(cause: PaymentError | None = None) -> StripeFailed:
    return StripeFailed(
        "The outcome of this refund is not known yet. Send the same request again: it will not be "
        "refunded twice.",
        request_id=cause.request_id if cause else None,
        retry_after_seconds=ASK_AGAIN_SECONDS,
    )
