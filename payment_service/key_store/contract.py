"""The contract of a key store: one record per order, three atomic operations on it, no decisions.

    StoreError
    └── StoreUnavailable    the store did not answer in time: nothing is known of the write

Who may do what with a record is decided above the stores, in `payments.record.transitions`; a store
only promises that each operation is one atomic step. It therefore fits any engine that can insert a
row unless it exists and replace a row if its version is still the one that was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["pending", "created", "rejected"]


class StoreError(Exception):
    """Anything that a key store reports."""


class StoreUnavailable(StoreError):
    """The store did not answer, or not in time; a write may or may not have been applied."""


@dataclass(frozen=True, slots=True)
class Order:
    """Whose order it is: the identity of a record."""

    livemode: bool
    client_id: str | None
    order_id: str


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of one order. Instants are Unix seconds of the writer's clock.

    `state` pending is *in flight* while `locked_until` lies ahead and *unknown* after it.
    """

    order: Order
    attempt: int
    """The generation of the idempotency key; the first is 1."""
    fingerprint: str
    """SHA-256 of the canonical request, hexadecimal."""
    params: str
    """What is sent to Stripe, as JSON text, kept byte for byte."""
    state: State
    owner: str
    """Who claimed last; a text that no other claim has."""
    locked_until: float
    first_sent_at: float
    """When this attempt's key may have been sent first."""
    updated_at: float
    version: int = 1
    """Counts the writes; replace() compares it, so that a stale owner changes nothing."""
    saved_5xx: bool = False
    """Stripe replays a 5xx under this attempt's key: it never gets past it."""
    payment_intent_id: str | None = None
    payment_status: str | None = None
    """Stripe's status when it was last seen; may be behind, but never once `canceled`."""
    follow_up: str = ""
    """JSON text of what happened after creation (history, events to deliver); opaque here."""
    due_at: float | None = None
    """When something in `follow_up` wants to be delivered; None when nothing does."""


class KeyStore(Protocol):
    """One record per order. Every operation is on one order, and atomic.

    Operations of many threads may share one round trip and one commit; none returns before its
    own write is committed, and each has its own result. What fails for all of them may have been
    applied for all, for some or for none.

    All raise StoreUnavailable when the store does not answer within its time-out, which is
    given when it is opened (`timeout_seconds`); none is sent again unless it surely was not
    applied.
    """

    def claim(self, record: KeyRecord) -> KeyRecord:
        """Store `record` if its order has none; return what the store holds now.

        Atomic: of any number of simultaneous claims exactly one is stored, and all of them
        are given that one. The write is durable (as far as the store is) on return.
        """
        ...

    def read(self, order: Order) -> KeyRecord | None:
        """Return the order's record, or None. Sees every write that returned before."""
        ...

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        """Store `new` if the record is still `current`, by owner and version; tell whether.

        `new.version` must be `current.version + 1`. The fence of rule 6.
        """
        ...

    def forget(self, current: KeyRecord) -> bool:
        """Delete the order's record if it is still `current`, by owner and version."""
        ...

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        """Return at most `limit` records whose `due_at` is at or before `now`, oldest first.

        May be a moment behind; whoever acts on one replaces it first.
        """
        ...

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        """Yield every record (of that state) once, in no order, without blocking writers.

        Records written while it runs may be missed or seen in either form.
        """
        ...

    def ping(self) -> None:
        """Return if the store answers a read now."""
        ...

    def close(self) -> None:
        """Release connections. No operation may follow."""
        ...
