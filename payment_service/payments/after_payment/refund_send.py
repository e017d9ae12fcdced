"""Send a claimed refund, and decide what its outcome means."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from payment_service.errors import GatewayFailed, InFlight, PaymentError, Refused
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Declined, Failed, KeyMisused, Refunded, Unclear
from payment_service.payments.after_payment.entry_lease import EntryLease
from payment_service.payments.after_payment.refund_end import Ending, place
from payment_service.payments.after_payment.refund_parts import (
    ANOTHER_REQUEST,
    Claimed,
    Done,
    KeyOver,
    KeySpent,
    Sent,
)
from payment_service.payments.after_payment.sightings import entry_of, with_entry
from payment_service.payments.context import Context
from payment_service.payments.idempotency_key import refund_key
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord


class RefundSend(Struct, frozen=True):
    """The sends of one request."""

    context: Context
    deadline: Deadline

    def send(self, claimed: Claimed) -> Sent:
        """Send the entry's key and text, and record every outcome but a refund.

        Raises the gateway's rejection, and a PaymentError if the same key may be sent again.
        """
        entry, order = claimed.entry, claimed.look.record.order
        assert entry.sent is not None
        lease = self._lease(claimed)
        if not lease.holds():
            # Rule 28: this process was suspended, and another may own the entry by now.
            raise InFlight(ANOTHER_REQUEST)
        # Rule 24: every sender uses the key and the text of the entry.
        key = refund_key(order.client_id, order.order_id, str(entry.refund_id), entry.generation)
        money = self.context.money_of(claimed.look.record)
        with lease.renewed():
            outcome = money.refund(entry.intent_id, entry.sent, key, self.deadline)
        if isinstance(outcome, Refunded):
            return Done(outcome.refund, outcome.replayed)
        return self._failed(claimed, outcome)

    def _lease(self, claimed: Claimed) -> EntryLease:
        mine, at = claimed.entry, claimed.leased_at
        record = claimed.look.record

        def extended(held: OrderRecord, until: float) -> OrderRecord | None:
            entry = entry_of(held, str(mine.refund_id))
            if entry is None or place(entry) != place(mine):
                return None
            return with_entry(transitions.amended(held), replace(entry, until=until))

        return EntryLease(
            self.context, self.deadline, record, extended, until=mine.until, leased_at=at
        )

    def _failed(self, claimed: Claimed, outcome: Failed) -> Sent:
        end = Ending(self.context, claimed)
        match outcome:
            case Declined(error, replayed=True, after_unresolved=False):
                # Rule 10: an earlier request was rejected under this key.
                return KeyOver(error)
            case Declined(error) if outcome.replayed or not (
                outcome.after_unresolved or claimed.in_doubt
            ):
                end.reject(error)
                raise error
            case Unclear(error) if not outcome.saved_5xx and not (
                claimed.in_doubt and outcome.answered_500
            ):
                end.release(error, spent=False)
                raise _unknown(error)
            case Declined() | KeyMisused() | Unclear():
                return self._spent(claimed, outcome.error)

    def _spent(self, claimed: Claimed, error: PaymentError) -> KeySpent:
        """Rule 25: a saved 5xx, other parameters under the key, or a rejection of a resend."""
        Ending(self.context, claimed).release(error, spent=True)
        return KeySpent(error)


def _unknown(cause: PaymentError) -> PaymentError:
    """Return the error of an unknown outcome: a rejection that tells nothing must not look final.

    Otherwise the shop would ask for another refund, and the first one could still be made.
    """
    if not isinstance(cause, Refused):
        return cause
    return GatewayFailed(
        "The outcome of this refund is not known yet. Send the same request again.",
        request_id=cause.request_id,
    )
