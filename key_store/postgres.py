"""Keep the records in PostgreSQL, or in what speaks its protocol: one statement per operation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import Cursor, errors

from key_store.contract import KeyRecord, Order, State, StoreUnavailable
from key_store.order_key import order_key
from key_store.postgres_pool import PostgresPool
from key_store.postgres_schema import migrate
from key_store.row import as_record, as_row
from key_store.statements import statement

# A scan reads this many records in one statement, which must end within the time-out.
PAGE_RECORDS = 500

OPERATIONS = ("claim", "read", "replace", "forget", "due", "page")

Row = tuple[Any, ...]
T = TypeVar("T")

log = logging.getLogger(__name__)


class PostgresStore:
    """KeyStore in one table. A server that is down at the start is asked again at each use."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._pool = PostgresPool(url, timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._migrated = False
        self._migrating = threading.Lock()
        self._sql = {name: statement("postgres", f"{name}.sql").encode() for name in OPERATIONS}
        try:
            self.ping()
        except StoreUnavailable:
            log.warning("PostgreSQL does not answer yet: no order is taken until it does")

    def claim(self, record: KeyRecord) -> KeyRecord:
        return _record(self._rows("claim", _row(record))[0])

    def read(self, order: Order) -> KeyRecord | None:
        rows = self._rows("read", {"key": order_key(order).encode()})
        return _record(rows[0]) if rows else None

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        return self._changes("replace", _row(new) | _fence(current)) == 1

    def forget(self, current: KeyRecord) -> bool:
        return self._changes("forget", _fence(current)) == 1

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        return [_record(row) for row in self._rows("due", {"now": now, "limit": limit})]

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        after = b""
        while rows := self._rows("page", {"after": after, "limit": PAGE_RECORDS}):
            found = (_record(row) for row in rows)
            yield from (record for record in found if state is None or record.state == state)
            after = rows[-1][0]

    def ping(self) -> None:
        self._rows("read", {"key": b""})

    def close(self) -> None:
        self._pool.close()

    def _rows(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        return self._run(name, values, lambda cursor: cursor.fetchall())

    def _changes(self, name: str, values: Mapping[str, Any]) -> int:
        return self._run(name, values, lambda cursor: cursor.rowcount)

    def _run(self, name: str, values: Mapping[str, Any], take: Callable[[Cursor[Row]], T]) -> T:
        """Run one statement, again where the server undid it to keep transactions in order."""
        give_up_at = time.monotonic() + self._timeout_seconds
        try:
            self._migrate_once(give_up_at)
            while True:
                try:
                    with self._pool.connection(give_up_at) as connection:
                        return take(connection.execute(self._sql[name], values))
                except errors.SerializationFailure:
                    if time.monotonic() >= give_up_at:
                        raise
        except psycopg.Error as trouble:
            raise StoreUnavailable("PostgreSQL did not answer, or not in time") from trouble

    def _migrate_once(self, give_up_at: float) -> None:
        if self._migrated:
            return
        if not self._migrating.acquire(timeout=self._timeout_seconds):
            raise StoreUnavailable("PostgreSQL is still being prepared")
        try:
            if not self._migrated:
                with self._pool.connection(give_up_at) as connection:
                    migrate(connection)
                self._migrated = True
        finally:
            self._migrating.release()


def _row(record: KeyRecord) -> dict[str, Any]:
    row = as_row(record)
    row["key"] = row["key"].encode()
    return row


def _record(row: Row) -> KeyRecord:
    return as_record((bytes(row[0]).decode(), *row[1:]))


def _fence(current: KeyRecord) -> dict[str, Any]:
    return {
        "key": order_key(current.order).encode(),
        "current_owner": current.owner,
        "current_version": current.version,
    }
