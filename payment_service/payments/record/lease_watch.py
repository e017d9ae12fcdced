"""How long a process has seen an order's lease unrenewed, by its own clock (rule 5)."""

from __future__ import annotations

import threading

from payment_service.key_store.contract import Order
from payment_service.payments.record.order_record import OrderRecord

# More than one process has requests in flight; each entry takes some 300 bytes.
MOST_WATCHED = 5_000


class LeaseWatch:
    """Remembers the leases that the requests of a process wait for; shared by its threads.

    It needs no agreement between clocks: an owner that lives writes a new `locked_until` within a
    lease's time. It outlives a request, so that requests with a short budget take over too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[Order, tuple[tuple[str, float], float]] = {}

    def seen_for(self, record: OrderRecord, now: float) -> float:
        """Return for how many seconds this process has known the record's lease.

        `now`: the seconds of time.monotonic after the record was read.
        """
        # Not the version: a history entry of another process shows nothing about the owner.
        lease = (record.owner, record.locked_until)
        with self._lock:
            known, since = self._seen.pop(record.order, (lease, now))
            if known != lease:
                since = now
            self._seen[record.order] = lease, since
            while len(self._seen) > MOST_WATCHED:
                del self._seen[next(iter(self._seen))]
        return now - since
