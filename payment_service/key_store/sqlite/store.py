"""The SQLite store: one file, shared by the threads and processes of one machine."""

from __future__ import annotations

import errno
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from payment_service.key_store.contract import (
    Cause,
    KeyRecord,
    Order,
    Position,
    Selection,
    State,
    StoreUnavailable,
)
from payment_service.key_store.group_commit import GroupCommit
from payment_service.key_store.health import Health
from payment_service.key_store.listing import first_of, lowest_of, page_of
from payment_service.key_store.order_key import client_key, mode_key, order_key
from payment_service.key_store.row import UPDATED_AT, as_record, as_row
from payment_service.key_store.sqlite.retry import execute_with_retry
from payment_service.key_store.sqlite.schema import migrate
from payment_service.key_store.statements import statement

# Records that a scan reads per statement: it holds its lock for a few milliseconds at most.
PAGE_RECORDS = 500

# The pause between attempts to switch to WAL, for which SQLite's busy timeout does not wait.
WAL_PAUSE_SECONDS = 0.01

# SQLite's busy handler retries after 1, 2 and 5 ms, then ever less often, which starves the writers
# that have waited longest. So keep its timeout short and retry here, until the operation's
# deadline.
BUSY_SECONDS = 0.01

# The interval between batches under load: about the time of a flush to disk.
PACE_SECONDS = 0.002

# In a UTF-16 database, SQLite confuses some characters, so two orders could share a key.
NOT_UTF8 = "the SQLite file's encoding is not UTF-8: name a new file, which the service will create"
READ_ONLY = "the SQLite file may not be written to"
REPLACED = "the SQLite file was removed or replaced"

# POSIX: a process that closes any descriptor of a file loses all its locks on that file. Without
# SQLite's locks, another process that closes the database deletes the write-ahead log while this
# one still writes to it. So only SQLite may open a file that may already be open.
_creation_lock = threading.Lock()

# SQLite's primary result codes, and the causes they stand for.
CAUSES: dict[int, Cause] = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_PERM: "permission",
    sqlite3.SQLITE_AUTH: "permission",
    sqlite3.SQLITE_CANTOPEN: "file",
    sqlite3.SQLITE_CORRUPT: "file",
    sqlite3.SQLITE_NOTADB: "file",
    sqlite3.SQLITE_IOERR: "file",
}

# errno's of the operating system.
OS_CAUSES: dict[int, Cause] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}

OPERATIONS = (
    "claim",
    "read",
    "replace",
    "forget",
    "due",
    "page",
    "list_client",
    "list_mode",
    "list_alarms",
    "unlisted",
)


def sqlite_path(url: str) -> str:
    """Return the path in sqlite:///keys.db (relative) or sqlite:////var/keys.db (absolute)."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path == ":memory:" or "?" in path:
        raise ValueError("a sqlite URL is sqlite:///keys.db or sqlite:////var/lib/keys.db")
    return path


def check_directory(path: str) -> None:
    """Raise ValueError if the file's directory does not exist."""
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path) or "."):
        raise ValueError("a sqlite URL names a file in a directory that exists")


Write = tuple[str, Mapping[str, Any]]


class SqliteStore:
    """KeyStore in a file with a write-ahead log. Open it after a fork, not before.

    Without `durable`, writes survive a crash of the process, but not of the machine.
    """

    def __init__(self, path: str, *, timeout_seconds: float, durable: bool = True) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds
        self._durable = durable
        self._health = Health("SQLite")
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._file: tuple[int, int] | None = None
        self._sql = {name: statement("sqlite", f"{name}.sql") for name in OPERATIONS}
        # A write without a flush takes 0.02 ms, so batching would only delay it. Its threads still
        # take turns, because SQLite's busy handler sleeps for 1, 2, 5 ms and more.
        self._batches: GroupCommit[Write, int | None] | None = None
        self._turn = threading.Lock()
        if durable:
            self._batches = GroupCommit(self._write, pace_seconds=PACE_SECONDS)

    def claim(self, record: KeyRecord) -> KeyRecord:
        """Only the insert decides. Reading first saves a replay the wait for the disk."""
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
        return (record for record in self._all("page") if state in (None, record.state))

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        """Read the first records of each status, and keep the first of all."""

        def fetch(end: Position, most: int) -> list[KeyRecord]:
            values = {"lowest": lowest_of(selection), "limit": most, "among": among}
            values |= {"updated_at": end.updated_at, "key": end.key.decode()}
            if selection.alarm_by is not None:
                return [as_record(row) for row in self._rows("list_alarms", values)]
            rows = (self._rows(name, values | {"status": each}) for each in selection.statuses)
            return first_of(((as_record(row) for row in each) for each in rows), most)

        name, among = "list_mode", mode_key(selection.livemode)
        if selection.client_id is not None and selection.alarm_by is None:
            name, among = "list_client", client_key(selection.livemode, selection.client_id)
        return page_of(selection, limit, before, fetch)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:  # noqa: ARG002 - of the contract
        return self._all("unlisted")

    def ping(self) -> None:
        if self._file:
            # A connection that is open may have become read-only with its file system.
            self._refuse_read_only()
        self._rows("due", {"now": 0.0, "limit": 1})
        self._health.answered()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _all(self, name: str) -> Iterator[KeyRecord]:
        last: dict[str, Any] = {"after": "", "at": -math.inf}
        while rows := self._rows(name, {**last, "limit": PAGE_RECORDS}):
            yield from (as_record(row) for row in rows)
            last = {"after": rows[-1][0], "at": rows[-1][UPDATED_AT]}

    def _rows(self, name: str, values: Mapping[str, Any]) -> list[Any]:
        with self._borrowed() as connection:
            return execute_with_retry(
                connection, self._sql[name], values, self._give_up_at()
            ).fetchall()

    def _changes(self, name: str, values: Mapping[str, Any]) -> int:
        """Run one statement in a shared transaction; run it alone if that one was rolled back."""
        write, give_up_at = (name, values), self._give_up_at()
        if self._batches is None:
            changed: int | None = self._write_serialized(write, give_up_at)
        else:
            changed = self._batches.do(write, give_up_at)
        if changed is None:
            changed = self._write_alone(write, give_up_at)
        self._health.answered()
        return changed

    def _write_serialized(self, write: Write, give_up_at: float) -> int:
        if not self._turn.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
            raise self._health.failed("busy", "the file was busy for too long")
        try:
            return self._write_alone(write, give_up_at)
        finally:
            self._turn.release()

    def _write(self, batch: Sequence[Write], give_up_at: float) -> Sequence[int | None]:
        """Return the rows that each write changed, after the commit; all None after a rollback."""
        if len(batch) == 1:
            return (self._write_alone(batch[0], give_up_at),)
        with self._borrowed() as connection:
            execute_with_retry(connection, "BEGIN IMMEDIATE", (), give_up_at)
            try:
                done = [connection.execute(self._sql[name], values) for name, values in batch]
            except (sqlite3.Error, ValueError, OverflowError):
                connection.rollback()
                return [None] * len(batch)
            connection.execute("COMMIT")
            return [cursor.rowcount for cursor in done]

    def _write_alone(self, write: Write, give_up_at: float) -> int:
        name, values = write
        with self._borrowed() as connection:
            return execute_with_retry(connection, self._sql[name], values, give_up_at).rowcount

    def _give_up_at(self) -> float:
        return time.monotonic() + self._timeout_seconds

    def _borrowed(self) -> _BorrowedConnection:
        """Lend a connection. An error closes it, which rolls its transaction back."""
        return _BorrowedConnection(self._connection, self._give_back, self._failed)

    def _connection(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the key store is closed")
        if self._file and not self._is_same_file():
            # Some processes would use the old file and some a new, empty one.
            raise self._health.failed("file", REPLACED)
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _is_same_file(self) -> bool:
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
            _create_file(self._path)
        # SQLite would open a read-only file, and only writes would fail: not ready.
        self._refuse_read_only()
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
        if (
            execute_with_retry(connection, "PRAGMA encoding", (), give_up_at).fetchone()[0]
            != "UTF-8"
        ):
            raise self._health.failed("wrong_server", NOT_UTF8)
        synchronous = "FULL" if self._durable else "OFF"
        execute_with_retry(connection, f"PRAGMA synchronous = {synchronous}", (), give_up_at)
        _use_wal(connection, give_up_at)
        migrate(connection, give_up_at)

    def _refuse_read_only(self) -> None:
        if os.path.exists(self._path) and not os.access(self._path, os.R_OK | os.W_OK):
            raise self._health.failed("read_only", READ_ONLY)

    def _failed(self, error: sqlite3.Error | OSError) -> StoreUnavailable:
        if isinstance(error, OSError):
            return self._health.failed(OS_CAUSES.get(error.errno or 0, "file"), error)
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return self._health.failed(CAUSES.get(code, "rejected"), error)


class _BorrowedConnection:
    """A context manager. It is a class because a generator takes three times as long."""

    def __init__(
        self,
        take: Callable[[], sqlite3.Connection],
        give_back: Callable[[sqlite3.Connection], None],
        failed: Callable[[sqlite3.Error | OSError], StoreUnavailable],
    ) -> None:
        self._take, self._give_back, self._failed = take, give_back, failed

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection = self._take()
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error
        return self._connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self._give_back(self._connection)
            return
        self._connection.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise self._failed(error) from error


def _create_file(path: str) -> None:
    """Create the file unless it exists; never open an existing one."""
    only_new = os.O_RDWR | os.O_CREAT | os.O_EXCL
    # Serialized: otherwise another thread might use the file before it is closed here.
    with _creation_lock, suppress(FileExistsError):
        # Readable by this user only: the parameters of an order may hold an e-mail address.
        os.close(os.open(os.path.realpath(path), only_new, 0o600))


def _identity(path: str) -> tuple[int, int]:
    """Return the file's device and inode. Raises OSError if it does not exist."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _fence(current: KeyRecord) -> dict[str, Any]:
    return {
        "key": order_key(current.order),
        "current_owner": current.owner,
        "current_version": current.version,
    }


def _use_wal(connection: sqlite3.Connection, give_up_at: float) -> None:
    """Switch the file to WAL. SQLite reports "busy" at once if another process does it too."""
    while (
        execute_with_retry(connection, "PRAGMA journal_mode", (), give_up_at).fetchone()[0] != "wal"
    ):
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(WAL_PAUSE_SECONDS)
        else:
            if mode != "wal":
                raise sqlite3.OperationalError("this file system does not let SQLite use WAL")
