"""The PostgreSQL store: one statement per operation, one transaction each."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar, get_args

import psycopg
from psycopg import Cursor, errors

from payment_service.key_store.contract import (
    KeyRecord,
    Order,
    Position,
    Selection,
    State,
    StoreUnavailable,
)
from payment_service.key_store.group_commit import GroupCommit
from payment_service.key_store.health import Health
from payment_service.key_store.listing import lowest_of, page_of
from payment_service.key_store.order_key import client_key, mode_key, order_key
from payment_service.key_store.postgres.faults import cause_of, reason_of
from payment_service.key_store.postgres.pool import PostgresPool
from payment_service.key_store.postgres.schema import migrate
from payment_service.key_store.row import UPDATED_AT, as_record, as_row
from payment_service.key_store.statements import statement

# Records that a scan reads per statement; each statement must end within the time-out.
PAGE_RECORDS = 500

# The interval between batches under load: about the time of a commit.
PACE_SECONDS = 0.002

# A batch that takes longer is blocked: start others, up to this many at the same time.
LATE_SECONDS, MAX_CONCURRENT_BATCHES = 0.25, 4

LISTS = ("list_client", "list_mode", "list_alarms", "unlisted")
OPERATIONS = ("claim", "read", "replace", "forget", "due", "page", "ping", *LISTS)
WRITE_TOGETHER = "write_together"

# A store that answers these may still reject every write.
READS = ("read", "due", "page", "ping", *LISTS)

# The server rolled the whole statement back or does not support it: nothing was written, and each
# operation may be run alone.
ROLLED_BACK = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.DataError,
    errors.FeatureNotSupported,
    errors.SyntaxError,
    errors.UndefinedFunction,
)

Row = tuple[Any, ...]
JsonRow = dict[str, Any]
Kind = Literal["claims", "replacements"]
Write = tuple[Kind, JsonRow]
T = TypeVar("T")


class PostgresStore:
    """KeyStore in one table. If the server is down at the start, each operation tries again."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._pool = PostgresPool(url, timeout_seconds)
        self._health = Health("PostgreSQL")
        self._timeout_seconds = timeout_seconds
        self._migrated = False
        self._migrating = threading.Lock()
        self._sql = {
            name: statement("postgres", f"{name}.sql").encode()
            for name in (*OPERATIONS, WRITE_TOGETHER)
        }
        self._writes: GroupCommit[Write, Row | None] = GroupCommit(
            self._write,
            pace_seconds=PACE_SECONDS,
            late_seconds=LATE_SECONDS,
            max_concurrent=MAX_CONCURRENT_BATCHES,
        )
        # The log has the cause; the server may become usable later.
        with suppress(StoreUnavailable):
            self.ping()

    def claim(self, record: KeyRecord) -> KeyRecord:
        give_up_at = self._give_up_at()
        row = self._writes.do(("claims", _json_row(record)), give_up_at)
        if row is None:
            row = self._execute_with_retry("claim", _row(record), _fetch_all, give_up_at)[0]
        return record if row[1] is None else _record(row)

    def read(self, order: Order) -> KeyRecord | None:
        rows = self._rows("read", {"key": order_key(order).encode()})
        return _record(rows[0]) if rows else None

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        give_up_at = self._give_up_at()
        fence = {"current_owner": current.owner, "current_version": current.version}
        if self._writes.do(("replacements", _json_row(new) | fence), give_up_at):
            return True
        return (
            self._execute_with_retry("replace", _row(new) | _fence(current), _row_count, give_up_at)
            == 1
        )

    def forget(self, current: KeyRecord) -> bool:
        return (
            self._execute_with_retry("forget", _fence(current), _row_count, self._give_up_at()) == 1
        )

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        return [_record(row) for row in self._rows("due", {"now": now, "limit": limit})]

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        return (record for record in self._all("page") if state in (None, record.state))

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        def fetch(end: Position, most: int) -> list[KeyRecord]:
            values = {"among": among, "lowest": lowest_of(selection), "limit": most}
            values |= {"updated_at": end.updated_at, "key": end.key}
            values |= {} if name == "list_alarms" else {"statuses": list(selection.statuses)}
            return [_record(row) for row in self._rows(name, values)]

        name, among = "list_mode", mode_key(selection.livemode)
        if selection.alarm_by is not None:
            name = "list_alarms"
        elif selection.client_id is not None:
            name, among = "list_client", client_key(selection.livemode, selection.client_id)
        return page_of(selection, limit, before, fetch)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:  # noqa: ARG002 - of the contract
        return self._all("unlisted")

    def ping(self) -> None:
        self._execute_with_retry("ping", {}, _refuse_no_write, self._give_up_at())
        self._health.answered()

    def close(self) -> None:
        self._pool.close()

    def _all(self, name: str) -> Iterator[KeyRecord]:
        last: dict[str, Any] = {"after": b"", "at": -math.inf}
        while rows := self._rows(name, {**last, "limit": PAGE_RECORDS}):
            yield from (_record(row) for row in rows)
            last = {"after": rows[-1][0], "at": rows[-1][UPDATED_AT]}

    def _rows(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        return self._execute_with_retry(name, values, _fetch_all, self._give_up_at())

    def _give_up_at(self) -> float:
        return time.monotonic() + self._timeout_seconds

    def _write(self, batch: Sequence[Write], give_up_at: float) -> Sequence[Row | None]:
        """Run one statement for many writes; None means that a write must run alone.

        Those are writes that the statement skipped, the second write of one order, and all writes
        if the statement was rolled back.
        """
        if len(batch) == 1:
            return (None,)
        firsts = {(kind, row["hex"]): row for kind, row in reversed(batch)}
        values = {
            # The same order in all processes: otherwise two batches could deadlock.
            of: _as_json([firsts[write] for write in sorted(firsts) if write[0] == of])
            for of in get_args(Kind)
        }
        try:
            rows = self._execute(WRITE_TOGETHER, values, _fetch_all, give_up_at)
        except ROLLED_BACK:
            return [None] * len(batch)
        except psycopg.Error as error:
            raise self._failed(error) from error
        done = {(kind, key.hex()): (key, *columns) for kind, key, *columns in rows}
        return [
            done.get((kind, row["hex"])) if firsts[kind, row["hex"]] is row else None
            for kind, row in batch
        ]

    def _execute_with_retry(
        self,
        name: str,
        values: Mapping[str, Any],
        fetch: Callable[[Cursor[Row]], T],
        give_up_at: float,
    ) -> T:
        """Run one statement; retry it after a serialization failure."""
        while True:
            try:
                return self._execute(name, values, fetch, give_up_at)
            except psycopg.Error as error:
                undone = isinstance(error, errors.SerializationFailure)
                if not undone or time.monotonic() >= give_up_at:
                    raise self._failed(error) from error

    def _execute(
        self,
        name: str,
        values: Mapping[str, Any],
        fetch: Callable[[Cursor[Row]], T],
        give_up_at: float,
    ) -> T:
        if not self._migrated:
            # A migration may take longer than an operation, whose own time begins after it.
            give_up_at += self._migrate_once(give_up_at)
        with self._pool.connection(give_up_at) as connection:
            found = fetch(connection.run(self._sql[name], values))
        if name not in READS:
            self._health.answered()
        return found

    def _failed(self, error: psycopg.Error) -> StoreUnavailable:
        return self._health.failed(cause_of(error), reason_of(error))

    def _migrate_once(self, give_up_at: float) -> float:
        """Migrate unless another thread has; return the seconds that it took."""
        started = time.monotonic()
        if not self._migrating.acquire(timeout=self._timeout_seconds):
            raise StoreUnavailable("PostgreSQL: another thread still waits for it")
        try:
            if not self._migrated:
                with self._pool.connection(give_up_at) as connection:
                    migrate(connection)
                self._migrated = True
        finally:
            self._migrating.release()
        return time.monotonic() - started


def _as_json(rows: Sequence[JsonRow]) -> str:
    """Encode without \\u escapes: a SQL_ASCII server rejects those beyond ASCII."""
    return json.dumps(rows, ensure_ascii=False)


def _row(record: KeyRecord) -> dict[str, Any]:
    row = as_row(record)
    row["key"] = row["key"].encode()
    return row


def _json_row(record: KeyRecord) -> JsonRow:
    """Encode the row for a batch: without NULL columns, and the key in hexadecimal.

    Each thread encodes its own row, so that an encoding error does not hit the batch's leader.
    """
    row = {name: value for name, value in as_row(record).items() if value is not None}
    row["hex"] = row.pop("key").encode().hex()
    row["one"] = 1
    return row


def _fetch_all(cursor: Cursor[Row]) -> list[Row]:
    return cursor.fetchall()


def _row_count(cursor: Cursor[Row]) -> int:
    return cursor.rowcount


def _refuse_no_write(cursor: Cursor[Row]) -> None:
    """Raise as a write would: the ping's answer says that none is possible."""
    read_only, lacking = cursor.fetchall()[0]
    if read_only:
        raise errors.ReadOnlySqlTransaction("the session is read-only")
    if lacking:
        raise errors.InsufficientPrivilege(f"the role lacks {', '.join(lacking)} on key_records")


def _record(row: Row) -> KeyRecord:
    return as_record((bytes(row[0]).decode(), *row[1:]))


def _fence(current: KeyRecord) -> dict[str, Any]:
    return {
        "key": order_key(current.order).encode(),
        "current_owner": current.owner,
        "current_version": current.version,
    }
