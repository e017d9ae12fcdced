"""Look for approvals: a shopper may approve a payment and close the window."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from payment_service.errors import PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.payments.context import Context
from payment_service.payments.gated.complete import complete
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.order_record import OrderRecord


class Approvals(Struct, frozen=True):
    """Reads the unfinished payments of one store at their gated gateways, when a look is due.

    It captures what is approved, and settles the captures of processes that are gone. It has no
    state, so any number of processes may run it. `context_of` returns the dependencies for a
    client's account.
    """

    context: Context
    context_of: Callable[[str | None], Context]
    budget_seconds: float

    def due(self, limit: int) -> list[OrderRecord]:
        """Return records with a look due, in the accounts that this process serves."""
        now = self.context.clock()
        return self.context.records.due(
            now, limit, self.context.serves, lambda each: _is_due(each, now)
        )

    def run(self, record: OrderRecord) -> bool:
        """Take the next look of a record; return whether the gateway has answered."""
        context = self.context_of(record.order.client_id)
        mine = _looked(context, record)
        if not context.records.replace(record, mine):
            return False
        if mine.follow_up.approval_look is None:
            return True
        deadline = Deadline.after(self.budget_seconds).earlier(context.timing.store)
        try:
            complete(context, mine, deadline, unattended=True)
        except PaymentError:
            return False
        return True


def _is_due(record: OrderRecord, now: float) -> bool:
    look = record.follow_up.approval_look
    return look is not None and look <= now


def _looked(context: Context, record: OrderRecord) -> OrderRecord:
    """Take the look, or drop it: the order may have gone on at another gateway."""
    if record.sent.gateway == context.gateway.facts.name:
        return transitions.amended(record, approval_look=None)
    return gated_transitions.looked(record, context.clock())
