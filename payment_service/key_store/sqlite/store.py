"""Keep the records in one SQLite file, shared by the threads and processes of one machine."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from payment_service.key_store.contract import KeyRecord, Order, State, StoreUnavailable
from payment_service.key_store.group_commit import Combiner
from payment_service.key_store.order_key import order_key
from payment_service.key_store.row import as_record, as_row
from payment_service.key_store.statements import statement

# What PRAGMA user_version says when every schema_N.sql has been applied.
SCHEMA_VERSION = 1

# A scan holds no lock for longer than it takes to read this many records (some milliseconds).
PAGE_RECORDS = 500

# Between tries of the one step that SQLite does not wait for by itself: switching to WAL.
WAL_PAUSE_SECONDS = 0.01

# SQLite looks again after 1, 2 and 5 ms, and then ever more seldom, so that whoever has waited
# long is the last to have its turn. One writer of each process asks anew before that, and looks at
# the clock: it may have had its turn just before its time was over.
BUSY_SECONDS = 0.01

# Batches begin so far apart, while many write: about what a flush to a disk takes.
PACE_SECONDS = 0.002

# In UTF-16, SQLite takes some characters for others: two orders could share a key.
NOT_UTF8 = (
    "the SQLite file's encoding is not UTF-8: name a new file, which the service makes itself"
)
UNUSABLE = "the SQLite file cannot be used now"
REPLACED = "the SQLite file was removed, or another one has its place"

# In POSIX a process that closes any descriptor of a file loses all its locks on it. SQLite's tell
# other processes that the file is in use: without them, whoever closes it deletes the log under
# those who still write to it. So nobody but SQLite may open what may be open already.
_making = threading.Lock()

OPERATIONS = ("claim", "read", "replace", "forget", "due", "page")


def sqlite_path(url: str) -> str:
    """Return the file that sqlite:///keys.db (relative) or sqlite:////var/keys.db names."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path == ":memory:" or "?" in path:
        raise ValueError("a sqlite URL is sqlite:///keys.db or sqlite:////var/lib/keys.db")
    return path


def look_at_place(path: str) -> None:
    """Raise ValueError where no such file can be made."""
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path) or "."):
        raise ValueError("a sqlite URL names a file in a directory that exists")


log = logging.getLogger(__name__)

Write = tuple[str, Mapping[str, Any]]


class SqliteStore:
    """KeyStore in a file with a write-ahead log. Open it after a fork, not before.

    Not `durable`, a write that returned survives the end of the process but not of the machine.
    """

    def __init__(self, path: str, *, timeout_seconds: float, durable: bool = True) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds
        self._durable = durable
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._file: tuple[int, int] | None = None
        self._sql = {name: statement("sqlite", f"{name}.sql") for name in OPERATIONS}
        # What is never flushed takes 0.02 ms: to wait for company would only cost. Its writers take
        # turns, all the same: who meets another at the file sleeps there for 1, 2, 5 ms and more.
        self._batches: Combiner[Write, int | None] | None = None
        self._turn = threading.Lock()
        if durable:
            self._batches = Combiner(self._write, pace_seconds=PACE_SECONDS)

    def claim(self, record: KeyRecord) -> KeyRecord:
        """The insert alone decides; reading first only spares a replay the wait for a disk."""
        row = as_row(record)
        held = self.read(record.order) if self._durable else None
        while held is None:
            if self._changes("claim", row):
                return record
            held = self.read(record.order)
        return held

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
        with self._lent() as connection:
            return _patiently(connection, self._sql[name], values, self._give_up_at()).fetchall()

    def _changes(self, name: str, values: Mapping[str, Any]) -> int:
        """Run one statement, in one transaction with others that come now; alone if it failed."""
        write, give_up_at = (name, values), self._give_up_at()
        if self._batches is None:
            return self._write_in_turn(write, give_up_at)
        changed = self._batches.do(write, give_up_at)
        if changed is None:
            changed = self._write_alone(write, give_up_at)
        return changed

    def _write_in_turn(self, write: Write, give_up_at: float) -> int:
        if not self._turn.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
            raise StoreUnavailable("the SQLite file was busy for too long")
        try:
            return self._write_alone(write, give_up_at)
        finally:
            self._turn.release()

    def _write(self, batch: Sequence[Write], give_up_at: float) -> Sequence[int | None]:
        """Return after the commit how many rows each changed; None for all if it was undone."""
        if len(batch) == 1:
            return (self._write_alone(batch[0], give_up_at),)
        with self._lent() as connection:
            _patiently(connection, "BEGIN IMMEDIATE", (), give_up_at)
            try:
                done = [connection.execute(self._sql[name], values) for name, values in batch]
            except (sqlite3.Error, ValueError, OverflowError):
                connection.rollback()
                return [None] * len(batch)
            connection.execute("COMMIT")
            return [cursor.rowcount for cursor in done]

    def _write_alone(self, write: Write, give_up_at: float) -> int:
        name, values = write
        with self._lent() as connection:
            return _patiently(connection, self._sql[name], values, give_up_at).rowcount

    def _give_up_at(self) -> float:
        return time.monotonic() + self._timeout_seconds

    def _lent(self) -> _Lent:
        """Lend a connection; one on which something failed is closed, which undoes what it did."""
        return _Lent(self._connection, self._give_back)

    def _connection(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the key store is closed")
        if self._file and not self._is_in_place():
            # Some would go on with the old one and some begin a new one, which knows no order.
            raise StoreUnavailable(REPLACED)
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _is_in_place(self) -> bool:
        try:
            return self._file == _identity(self._path)
        except FileNotFoundError:
            return False

    def _give_back(self, connection: sqlite3.Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self.close()

    def _connect(self) -> sqlite3.Connection:
        if self._file is None:
            _make(self._path)
        if not os.access(self._path, os.R_OK | os.W_OK):
            # SQLite would open it all the same, and only writes would fail: nobody is ready so.
            raise StoreUnavailable(UNUSABLE)
        found = _identity(self._path)
        connection = sqlite3.connect(
            self._path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._file = self._file or found
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        give_up_at = self._give_up_at()
        if _patiently(connection, "PRAGMA encoding", (), give_up_at).fetchone()[0] != "UTF-8":
            log.error("No order is taken: %s", NOT_UTF8)
            raise StoreUnavailable(NOT_UTF8)
        synchronous = "FULL" if self._durable else "OFF"
        _patiently(connection, f"PRAGMA synchronous = {synchronous}", (), give_up_at)
        _use_wal(connection, give_up_at)
        if _schema_version(connection, give_up_at) < SCHEMA_VERSION:
            _migrate(connection, give_up_at)


class _Lent:
    """A class, because a generator takes three times as long for the same."""

    def __init__(
        self,
        take: Callable[[], sqlite3.Connection],
        give_back: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._take, self._give_back = take, give_back

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection = self._take()
        except (sqlite3.Error, OSError) as trouble:
            raise StoreUnavailable(UNUSABLE) from trouble
        return self._connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self._give_back(self._connection)
            return
        self._connection.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise StoreUnavailable(UNUSABLE) from error


def _make(path: str) -> None:
    """Make the file unless it is there, and never open one that is."""
    only_new = os.O_RDWR | os.O_CREAT | os.O_EXCL
    # One after the other, or a second thread might have it in use before it is closed here.
    with _making, suppress(FileExistsError):
        # What is sent to Stripe may hold an e-mail address: nobody else's to read.
        os.close(os.open(os.path.realpath(path), only_new, 0o600))


def _identity(path: str) -> tuple[int, int]:
    """Which file it is, whatever its name. Raises OSError where there is none."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _fence(current: KeyRecord) -> dict[str, Any]:
    return {
        "key": order_key(current.order),
        "current_owner": current.owner,
        "current_version": current.version,
    }


def _patiently(
    connection: sqlite3.Connection, sql: str, values: Any, give_up_at: float
) -> sqlite3.Cursor:
    """Execute what begins a transaction, again for as long as somebody else's is in the way."""
    while True:
        try:
            return connection.execute(sql, values)
        except sqlite3.OperationalError as trouble:
            if not _is_busy(trouble) or time.monotonic() >= give_up_at:
                raise


def _is_busy(trouble: sqlite3.OperationalError) -> bool:
    """Extended codes keep the plain one in their last byte."""
    return trouble.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _use_wal(connection: sqlite3.Connection, give_up_at: float) -> None:
    """Switch the file to WAL, once in its life; SQLite says busy at once where others do too."""
    while _patiently(connection, "PRAGMA journal_mode", (), give_up_at).fetchone()[0] != "wal":
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(WAL_PAUSE_SECONDS)
        else:
            if mode != "wal":
                raise sqlite3.OperationalError("this file system does not let SQLite use WAL")


def _schema_version(connection: sqlite3.Connection, give_up_at: float) -> int:
    version: int = _patiently(connection, "PRAGMA user_version", (), give_up_at).fetchone()[0]
    return version


def _migrate(connection: sqlite3.Connection, give_up_at: float) -> None:
    """Bring the schema up to date, once, whichever process is first."""
    _patiently(connection, "BEGIN IMMEDIATE", (), give_up_at)
    for version in range(_schema_version(connection, give_up_at) + 1, SCHEMA_VERSION + 1):
        for sql in statement("sqlite", f"schema_{version}.sql").split(";"):
            connection.execute(sql)
        connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")
