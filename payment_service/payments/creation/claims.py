"""The claims of one creation request: it owns at most one attempt at a time (rules 1, 5 and 6).

The numbers in comments are those of the rules in docs/exactly-once.md.
"""

from __future__ import annotations

from typing import NoReturn

from payment_service.errors import InFlight, PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.creation.owned_record import OwnedRecord
from payment_service.payments.creation.states import Claimed, LookAgain
from payment_service.payments.observer import What
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import Wanted


class Claims:
    """Claims an order, takes attempts over, and releases what this request owns."""

    def __init__(self, context: Context, wanted: Wanted, deadline: Deadline) -> None:
        self._context, self._records, self._wanted = context, context.records, wanted
        self._deadline = deadline
        self._owner: str | None = None

    def holds(self, record: OrderRecord) -> bool:
        """Whether the lease that the record names is this request's."""
        return record.owner == self._owner

    def owns(self, record: OrderRecord) -> bool:
        """Whether this request owns the record's attempt, which is pending."""
        return record.state == "pending" and self.holds(record)

    def first(self, wanted: Wanted) -> Claimed | OrderRecord:
        """Rules 1 and 5: one store statement picks a single owner before anything is sent."""
        leased_at = self._deadline.monotonic()
        mine = transitions.first_claim(wanted, self._context.lease())
        held = self._records.claim(mine)
        if held.owner != mine.owner:
            return held
        self._owner = held.owner
        self._context.report("claimed", held)
        return Claimed(held, inherited=False, leased_at=leased_at)

    def take(
        self,
        held: OrderRecord,
        mine: OrderRecord,
        *,
        inherited: bool = False,
        failed: PaymentError | None = None,
    ) -> Claimed | LookAgain:
        """Rule 5: become the owner if the record is still the one we read, else follow it.

        Give up if a slow store could not record the result in time.
        """
        # Before the claim, so that a record whose gateway is not configured here stays unchanged.
        self._context.check_configured(mine)
        if self._deadline.left() <= self._context.timing.store:
            message = "There is no time left to create this order now; ask again."
            self.give_up(held, failed, message, mine if mine.attempt > held.attempt else None)
        leased_at = self._deadline.monotonic()
        if not self._records.replace(held, mine):
            return LookAgain()
        return self.claimed(held, mine, leased_at, inherited=inherited)

    def claimed(
        self, held: OrderRecord, mine: OrderRecord, leased_at: float, *, inherited: bool = False
    ) -> Claimed:
        """We have replaced the record `held` with ours."""
        self._owner = mine.owner
        again = mine.attempt == held.attempt
        came, goes = held.sent.gateway, mine.sent.gateway
        if came != goes:
            why = str(mine.follow_up.history[-1].get("why"))
            self._context.report("switched", mine, **{"from": came, "to": goes, "why": why})
            if len(mine.follow_up.leftovers) > len(held.follow_up.leftovers):
                self._context.report("leftover_left", mine, gateway=came)
        else:
            what: What = "taken_over" if inherited else "claimed"
            self._context.report(what if again else "next_attempt", mine)
        sent_until = transitions.sends_ended_at(held, self._context.timing.lock)
        return Claimed(mine, inherited, leased_at, sent_until, begun=not again)

    def give_up(
        self,
        record: OrderRecord,
        failed: PaymentError | None,
        message: str,
        begun: OrderRecord | None = None,
    ) -> NoReturn:
        """Release the attempt if we own it; raise `failed`, or InFlight with the message.

        After the release, the next request need not wait for the lease. `begun`: the attempt that
        could follow, as this one is over (rule 3).
        """
        why = failed or InFlight(message)
        if self.owns(record) and not (begun and self._put_off(record, begun)):
            mine = OwnedRecord(self._context, self._wanted, record, self._deadline)
            mine.release(why, saved_5xx=failed is not None)
        raise why

    def _put_off(self, record: OrderRecord, begun: OrderRecord) -> bool:
        """Record the next attempt, so that a request with more time left can send it.

        Otherwise the next request would repeat the same slow look-up and run out of time too.
        """
        try:
            written = self._records.replace(
                record, transitions.put_off(begun, self._context.clock())
            )
        except StoreUnavailable:
            return False
        if written:
            self._context.report("put_off", begun)
        return written
