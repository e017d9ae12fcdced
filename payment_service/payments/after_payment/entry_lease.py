"""The lease of a refund's or the capture's entry, renewed while its owner waits for the gateway."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from payment_service.gateways.deadline import Deadline
from payment_service.key_store.contract import Order
from payment_service.payments.context import Context
from payment_service.payments.record import transitions
from payment_service.payments.record.money import CaptureEntry, RefundEntry
from payment_service.payments.record.order_record import OrderRecord

Extend = Callable[[OrderRecord, float], OrderRecord | None]


class EntryLease:
    """A claimed entry's lease, for the lease keeper.

    `record` is the record as its owner or the keeper last wrote it.
    """

    def __init__(
        self,
        context: Context,
        deadline: Deadline,
        record: OrderRecord,
        extend: Extend,
        *,
        until: float,
        leased_at: float,
    ) -> None:
        """`extend(record, until)` returns the record with the entry's lease extended.

        It returns None once the entry has another owner or has ended. `leased_at`: before the
        claim was written, in seconds of the deadline's clock.
        """
        self._context, self._deadline, self._extend = context, deadline, extend
        self._renewing = threading.Lock()
        self.record, self._until, self._leased_at = record, until, leased_at
        self.renew_at = leased_at + transitions.RENEW_AFTER_SECONDS

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the lease while the block runs."""
        self._context.leases.hold(self)
        try:
            yield
        finally:
            self._context.leases.drop(self)

    def renew(self) -> None:
        """Extend the lease, but not beyond the owner's deadline: a thread that hangs loses it.

        Raises StoreUnavailable, RecordChanged.
        """
        if not self._renewing.acquire(blocking=False):
            return
        try:
            began = self._deadline.monotonic()
            if self._deadline.left() <= self._context.timing.store or self.renew_at == math.inf:
                self.renew_at = math.inf
                return
            self.renew_at = began + transitions.RENEW_AFTER_SECONDS
            until = self._context.clock() + transitions.LEASE_SECONDS
            written = self._context.records.change(
                self.record, lambda held: self._extend(held, until)
            )
            if written is None:
                # Another owner has the entry. Nothing more may be sent for it (rule 28).
                self.renew_at, self._leased_at = math.inf, -math.inf
            else:
                self.record, self._until, self._leased_at = written, until, began
        finally:
            self._renewing.release()

    def end_renewals(self) -> None:
        """Wait for a renewal under way, and allow no other."""
        with self._renewing:
            self.renew_at = math.inf

    def holds(self) -> bool:
        """Whether no other process can have seen the lease expire (rule 28)."""
        seen_for = self._deadline.monotonic() - self._leased_at
        return self._context.clock() < self._until and seen_for < transitions.LEASE_SECONDS


def is_at_work(
    context: Context, deadline: Deadline, order: Order, entry: RefundEntry | CaptureEntry
) -> bool:
    """Whether an entry's owner may be at work, for a request that waits for it (rule 28).

    It is not, whatever the clocks say, if this process has seen the lease unrenewed for as long as
    a lease lasts.
    """
    name = entry.refund_id if isinstance(entry, RefundEntry) else entry.intent_id
    lease = entry.owner, entry.until
    seen_for = context.watch.seen_for((order, name), lease, deadline.monotonic())
    at_work = transitions.entry_is_held(entry, context.clock())
    return at_work and seen_for < transitions.LEASE_SECONDS
