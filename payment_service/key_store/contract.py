"""The contract of a key store: one record per order, and the atomic operations on it.

    StoreError
    └── StoreUnavailable    the store failed or did not answer: a write may or may not be applied

The stores make no decisions: `payments.record.transitions` says who may change a record, and when.
A store only promises that each operation is atomic. Any engine fits that can insert a row unless it
exists, and replace a row if its version is still the one that was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from msgspec import Struct

State = Literal["pending", "created", "rejected"]

# How a page lists the records: by the payment's status, and by the state of those without a
# PaymentIntent. A payment status that is not among these is listed as OTHER.
OTHER = "other"
LISTED_STATUSES = (
    "pending",
    "rejected",
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "canceled",
    OTHER,
)


class StoreError(Exception):
    """The base of all errors of a key store."""


Cause = Literal[
    "unreachable",  # no connection: DNS, refused, reset, no quorum
    "timeout",  # no answer in time
    "starting",  # the server starts, stops or loads its data
    "authentication",  # a wrong user or password
    "permission",  # the user may not do this
    "tls",  # no TLS where one side needs it, or a wrong certificate
    "no_database",  # no such database
    "no_table",  # the table or its schema does not exist
    "read_only",  # a replica, or a server or file that accepts no writes
    "full",  # the disk or the memory is full
    "busy",  # locked for too long, or too many connections
    "cluster_down",  # a part of the cluster has no master
    "wrong_server",  # the server is of another kind than KEY_STORE_URL says
    "file",  # the file or its directory is missing, replaced or damaged
    "rejected",  # the server rejected a value or a statement
    "failed",  # anything else
]


class StoreUnavailable(StoreError):
    """The store failed or did not answer in time; a write may or may not have been applied.

    `cause` says why. The message has the driver's words, without secrets, for the log only.
    """

    def __init__(
        self, message: str = "the store did not answer in time", cause: Cause = "timeout"
    ) -> None:
        super().__init__(message)
        self.cause: Cause = cause


class Order(Struct, frozen=True):
    """The identity of a record: mode, client and the client's name for the order."""

    livemode: bool
    client_id: str | None
    order_id: str


class KeyRecord(Struct, frozen=True):
    """The record of one order. Instants are Unix seconds of the writer's clock.

    A pending record is *in flight* while its owner renews `locked_until`, and *unknown* after it.
    """

    order: Order
    attempt: int
    """The generation of the idempotency key; the first is 1."""
    fingerprint: str
    """SHA-256 of the canonical request, hexadecimal."""
    params: str
    """The parameters sent to Stripe, as JSON text, kept byte for byte."""
    state: State
    owner: str
    """A random text, unique to the claim that owns the record; empty for a pending record that was
    released."""
    locked_until: float
    first_sent_at: float
    """The earliest time at which this attempt's key may have been sent."""
    updated_at: float
    version: int = 1
    """The number of writes; replace() compares it, so that a stale owner changes nothing."""
    saved_5xx: bool = False
    """Stripe saved a 5xx under this attempt's key: every resend gets the same 5xx."""
    payment_intent_id: str | None = None
    payment_status: str | None = None
    """The gateway's status when last read; may be stale, except that `canceled` is final."""
    follow_up: str = ""
    """The history and the events to deliver, as JSON text; opaque to the stores."""
    due_at: float | None = None
    """When a background job next has work, such as an event to deliver; None if there is none."""
    alarm_at: float | None = None
    """From when on a person must look at the order; None if there is no reason."""

    @property
    def listed_status(self) -> str:
        """The one of LISTED_STATUSES under which a page lists the record."""
        if self.state != "created":
            return self.state
        return self.payment_status if self.payment_status in LISTED_STATUSES[2:-1] else OTHER


class Selection(Struct, frozen=True):
    """The records that a page lists. Instants are Unix seconds."""

    livemode: bool
    client_id: str | None = None
    """None: the records of all clients, and those without a client."""
    statuses: tuple[str, ...] = LISTED_STATUSES
    alarm_by: float | None = None
    """Only records whose `alarm_at` is at or before this instant; None for all records."""
    updated_from: float | None = None
    """Only records with this `updated_at` or a later one."""
    updated_until: float | None = None
    """Only records with an earlier `updated_at`."""


class Position(Struct, frozen=True, order=True):
    """The place of a record in a list: pages go from the highest position to the lowest."""

    updated_at: float
    key: bytes
    """The order's `order_key` in UTF-8, which orders records of the same instant."""


class KeyStore(Protocol):
    """One record per order. Every operation is on one order, and atomic.

    Operations of many threads may share one round trip and one commit. Each has its own result and
    returns only after its own write is committed. When a shared round trip fails, all, some or none
    of its writes may have been applied.

    Every operation raises StoreUnavailable if the store does not answer within the time-out given
    at opening (`timeout_seconds`). A store retries an operation only if it certainly was not
    applied.
    """

    def claim(self, record: KeyRecord) -> KeyRecord:
        """Store `record` if its order has none; return what the store holds now.

        Atomic: of any number of concurrent claims exactly one is stored, and all of them return
        that one. On return, the write is as durable as the store is.
        """
        ...

    def read(self, order: Order) -> KeyRecord | None:
        """Return the order's record, or None. Sees every write that returned earlier."""
        ...

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        """Store `new` if the record still has the owner and version of `current`; say whether.

        `new.version` must be `current.version + 1`. This is the fence of rule 6.
        """
        ...

    def forget(self, current: KeyRecord) -> bool:
        """Delete the record if it still has the owner and version of `current`; say whether."""
        ...

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        """Return at most `limit` records whose `due_at` is at or before `now`, oldest first.

        May be slightly stale: replace a record before acting on it.
        """
        ...

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        """Yield every record (of that state) once, in any order, without blocking writers.

        A record written during the scan may be missing, or appear before or after the write.
        """
        ...

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        """Return the first `limit` records of the selection below `before`, highest position first.

        Fewer than `limit` records are the last ones. Takes as long with many stored records as
        with few (except for the dict of the memory store). Records that do not change between two
        pages are listed exactly once; a record that changes moves to the front of the list.
        """
        ...

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:
        """Yield the records that pages lack because an earlier release wrote them last.

        Once such a record is replaced, pages list it. A store that cannot look these up searches
        all records, until it has done so once; `again` repeats the search.
        """
        ...

    def ping(self) -> None:
        """Return if the store could store an order now; changes nothing.

        Some faults show only at a write, for example a full disk.
        """
        ...

    def close(self) -> None:
        """Close the connections. No operation may follow."""
        ...
