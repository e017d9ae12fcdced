"""Record the end of a request's work on a refund that was not made, or whose outcome is unknown."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import PaymentError
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.after_payment.refund_parts import Claimed
from payment_service.payments.after_payment.sightings import entry_of, with_entry
from payment_service.payments.context import Context
from payment_service.payments.observer import What
from payment_service.payments.record import transitions
from payment_service.payments.record.money import RefundEntry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged


class Ending(Struct, frozen=True):
    """The end of the work on the claimed entry. Changes it only if it is still ours."""

    context: Context
    claimed: Claimed

    def reject(self, error: PaymentError) -> None:
        """Record that this key made nothing (rule 8). Raises RecordChanged if it is not ours."""
        if not self._end("refund rejected", error, state="rejected"):
            raise RecordChanged
        self._report("refund_rejected", error)

    def release(self, error: PaymentError, *, spent: bool) -> None:
        """Leave the refund unknown, so that the next request can settle it."""
        try:
            self._end("refund unknown", error, spent=self.claimed.entry.spent or spent)
        except StoreUnavailable:
            # The lease expires anyway, and the next request learns the same from the gateway.
            self.context.report("unrecorded", self.claimed.look.record, code=error.code)
        self._report("refund_unknown", error)

    def _report(self, what: What, error: PaymentError) -> None:
        record, refund_id = self.claimed.look.record, self.claimed.entry.refund_id
        self.context.report(what, record, refund_id=refund_id, code=error.code)

    def _end(self, what: str, error: PaymentError, **changes: Any) -> bool:
        """Give the lease back; return whether the entry was still ours."""
        mine, now = self.claimed.entry, self.context.clock()
        facts = {"refund_id": str(mine.refund_id), "code": error.code}

        def ended(held: OrderRecord) -> OrderRecord | None:
            entry = entry_of(held, str(mine.refund_id))
            if entry is None or place(entry) != place(mine):
                return None
            # After a take-over, the owner before us may still be sending.
            sent_until = entry.sent_until if self.claimed.in_doubt else now
            changes.update(until=now, sent_until=sent_until, updated_at=round(now, 3))
            over = replace(entry, owner=transitions.NO_OWNER, **changes)
            return with_entry(transitions.touched(held, now, what, **facts), over)

        return self.context.records.change(self.claimed.look.record, ended) is not None


def place(entry: RefundEntry) -> tuple[str, str, int]:
    """The fields that tell whether an entry is still the one that its owner wrote."""
    return entry.state, entry.owner, entry.generation
