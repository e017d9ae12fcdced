"""The memory store: a dict and a lock in this process, lost when the process ends."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Iterator

from payment_service.key_store.contract import KeyRecord, Order, Position, Selection, State
from payment_service.key_store.health import Health
from payment_service.key_store.listing import highest_of, includes, position_of

# A record takes about 1.1 kB (benchmarks/store_cost.py), so half a million take about 550 MB: the
# most that a process should take of a small machine by default.
DEFAULT_MAX_ORDERS = 500_000

# Rule 12: ACH and PAD payments can fail days after creation, and disputes come even later.
KEEP_SECONDS = 90 * 86_400

# How many of the oldest records a full store examines for eviction: bounds the time of a claim.
MAX_EVICTION_SEARCH = 1_000

log = logging.getLogger(__name__)


class MemoryStore:
    """KeyStore in a dict. Dicts keep insertion order, so the oldest orders come first."""

    def __init__(self, max_orders: int = DEFAULT_MAX_ORDERS) -> None:
        self._records: dict[Order, KeyRecord] = {}
        self._due: set[Order] = set()
        self._lock = threading.Lock()
        self._max_orders = max_orders
        self._health = Health("memory")

    def claim(self, record: KeyRecord) -> KeyRecord:
        with self._lock:
            held = self._records.get(record.order)
            if held is not None:
                return held
            if len(self._records) >= self._max_orders:
                self._evict_one(record.updated_at)
            self._put(record)
            self._health.answered()
            return record

    def read(self, order: Order) -> KeyRecord | None:
        return self._records.get(order)

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        with self._lock:
            if not self._is_still(current):
                return False
            self._put(new)
            return True

    def forget(self, current: KeyRecord) -> bool:
        with self._lock:
            if not self._is_still(current):
                return False
            del self._records[current.order]
            self._due.discard(current.order)
            return True

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        with self._lock:
            records = [self._records[order] for order in self._due]
        waiting = [r for r in records if r.due_at is not None and r.due_at <= now]
        return sorted(waiting, key=lambda r: r.due_at or 0.0)[:limit]

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        return (r for r in self._snapshot() if state is None or r.state == state)

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        """Look at every record: a development machine has few."""
        end = highest_of(selection, before)
        found = (r for r in self._snapshot() if includes(selection, r) and position_of(r) < end)
        return heapq.nlargest(limit, found, key=position_of)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:  # noqa: ARG002 - of the contract
        return iter(())

    def ping(self) -> None:
        return None

    def close(self) -> None:
        return None

    def _snapshot(self) -> list[KeyRecord]:
        with self._lock:
            return list(self._records.values())

    def _put(self, record: KeyRecord) -> None:
        self._records[record.order] = record
        if record.due_at is None:
            self._due.discard(record.order)
        else:
            self._due.add(record.order)

    def _is_still(self, current: KeyRecord) -> bool:
        held = self._records.get(current.order)
        return held is not None and held.version == current.version and held.owner == current.owner

    def _evict_one(self, now: float) -> None:
        """Drop the oldest finished record; warn if it is younger than rule 12 allows."""
        oldest = (
            r for _, r in zip(range(MAX_EVICTION_SEARCH), self._records.values(), strict=False)
        )
        victim = next((r for r in oldest if r.state != "pending" and r.due_at is None), None)
        if victim is None:
            raise self._health.failed("full", "all orders are unfinished")
        if now - victim.updated_at < KEEP_SECONDS:
            log.warning(
                "memory store full: dropped the record of a finished order younger than 90 days; "
                "use a durable KEY_STORE_URL",
                extra={"max_orders": self._max_orders},
            )
        del self._records[victim.order]
