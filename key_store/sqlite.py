"""Keep the records in one SQLite file, shared by the threads and processes of one machine."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from typing import Any

from key_store.contract import KeyRecord, Order, State, StoreUnavailable
from key_store.order_key import order_key
from key_store.row import as_record, as_row
from key_store.statements import statement

# What PRAGMA user_version says when every schema_N.sql has been applied.
SCHEMA_VERSION = 1

# A scan holds no lock for longer than it takes to read this many records (some milliseconds).
PAGE_RECORDS = 500

# Between tries of the one step that SQLite does not wait for by itself: switching to WAL.
WAL_PAUSE_SECONDS = 0.01

OPERATIONS = ("claim", "read", "replace", "forget", "due", "page")


def sqlite_path(url: str) -> str:
    """Return the file that sqlite:///keys.db (relative) or sqlite:////var/keys.db names."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path == ":memory:" or "?" in path:
        raise ValueError("a sqlite URL is sqlite:///keys.db or sqlite:////var/lib/keys.db")
    return path


class SqliteStore:
    """KeyStore in a file with a write-ahead log. Open it after a fork, not before.

    Not `durable`, a write that returned survives the end of the process but not of the machine.
    """

    def __init__(self, path: str, *, timeout_seconds: float, durable: bool = True) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds
        self._synchronous = "FULL" if durable else "OFF"
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._sql = {name: statement("sqlite", f"{name}.sql") for name in OPERATIONS}

    def claim(self, record: KeyRecord) -> KeyRecord:
        """The insert alone decides; reading first only spares a replay the lock of writers."""
        row = as_row(record)
        while True:
            held = self.read(record.order)
            if held is not None:
                return held
            if self._changes("claim", row):
                return record

    def read(self, order: Order) -> KeyRecord | None:
        rows = self._rows("read", {"key": order_key(order)})
        return as_record(rows[0]) if rows else None

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        return self._changes("replace", as_row(new) | _fence(current)) == 1

    def forget(self, current: KeyRecord) -> bool:
        return self._changes("forget", _fence(current)) == 1

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        return [as_record(row) for row in self._rows("due", {"now": now, "limit": limit})]

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        after = ""
        while rows := self._rows("page", {"after": after, "limit": PAGE_RECORDS}):
            found = (as_record(row) for row in rows)
            yield from (record for record in found if state is None or record.state == state)
            after = rows[-1][0]

    def ping(self) -> None:
        self._rows("due", {"now": 0.0, "limit": 1})

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _rows(self, name: str, values: Mapping[str, Any]) -> list[Any]:
        rows: list[Any] = self._run(name, values)[1]
        return rows

    def _changes(self, name: str, values: Mapping[str, Any]) -> int:
        return self._run(name, values)[0]

    def _run(self, name: str, values: Mapping[str, Any]) -> tuple[int, list[Any]]:
        """Run one statement, which is its own transaction; a connection that failed is closed."""
        try:
            connection = self._connection()
            try:
                cursor = connection.execute(self._sql[name], values)
                done = cursor.rowcount, cursor.fetchall()
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError) as trouble:
            raise StoreUnavailable("the SQLite file cannot be used now") from trouble
        self._give_back(connection)
        return done

    def _connection(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the key store is closed")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self.close()

    def _connect(self) -> sqlite3.Connection:
        # What is sent to Stripe may hold an e-mail address: nobody else's to read.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(
            self._path,
            timeout=self._timeout_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        _use_wal(connection, time.monotonic() + self._timeout_seconds)
        if _schema_version(connection) < SCHEMA_VERSION:
            _migrate(connection)


def _fence(current: KeyRecord) -> dict[str, Any]:
    return {
        "key": order_key(current.order),
        "current_owner": current.owner,
        "current_version": current.version,
    }


def _use_wal(connection: sqlite3.Connection, give_up_at: float) -> None:
    """Switch the file to WAL, once in its life; SQLite says busy at once where others do too."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(WAL_PAUSE_SECONDS)
        else:
            if mode != "wal":
                raise sqlite3.OperationalError("this file system does not let SQLite use WAL")


def _schema_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, once, whichever process is first."""
    connection.execute("BEGIN IMMEDIATE")
    for version in range(_schema_version(connection) + 1, SCHEMA_VERSION + 1):
        for sql in statement("sqlite", f"schema_{version}.sql").split(";"):
            connection.execute(sql)
        connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")
