"""The connections of a process to one SQLite file: opened when needed, kept, and lent out."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.health import Health
from payment_service.key_store.sqlite.faults import NOT_UTF8, READ_ONLY, REPLACED, cause_of
from payment_service.key_store.sqlite.retry import execute_with_retry
from payment_service.key_store.sqlite.schema import migrate

# The pause between attempts to switch to WAL, for which SQLite's busy timeout does not wait.
WAL_PAUSE_SECONDS = 0.01

# SQLite's busy handler retries after 1, 2 and 5 ms, then ever less often, which starves the writers
# that have waited longest. So keep its timeout short and retry here, until the operation's
# deadline.
BUSY_SECONDS = 0.01

# POSIX: a process that closes any descriptor of a file loses all its locks on that file. Without
# SQLite's locks, another process that closes the database deletes the write-ahead log while this
# one still writes to it. So only SQLite may open a file that may already be open.
_creation_lock = threading.Lock()


class Connections:
    """Shared by all threads. Without `durable`, a connection does not flush to the disk."""

    def __init__(self, path: str, health: Health, *, timeout_seconds: float, durable: bool) -> None:
        self._path, self._health = path, health
        self._timeout_seconds, self._durable = timeout_seconds, durable
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._file: tuple[int, int] | None = None

    @property
    def has_opened(self) -> bool:
        """Whether a connection to the file has been open."""
        return self._file is not None

    def close(self) -> None:
        """Close the idle connections now, and each of the others when it is given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def borrowed(self) -> _BorrowedConnection:
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
        self.refuse_read_only()
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
        give_up_at = time.monotonic() + self._timeout_seconds
        if (
            execute_with_retry(connection, "PRAGMA encoding", (), give_up_at).fetchone()[0]
            != "UTF-8"
        ):
            raise self._health.failed("wrong_server", NOT_UTF8)
        synchronous = "FULL" if self._durable else "OFF"
        execute_with_retry(connection, f"PRAGMA synchronous = {synchronous}", (), give_up_at)
        _use_wal(connection, give_up_at)
        migrate(connection, give_up_at)

    def refuse_read_only(self) -> None:
        """Raise StoreUnavailable if this process may not write to the file."""
        if os.path.exists(self._path) and not os.access(self._path, os.R_OK | os.W_OK):
            raise self._health.failed("read_only", READ_ONLY)

    def _failed(self, error: sqlite3.Error | OSError) -> StoreUnavailable:
        return self._health.failed(cause_of(error), error)


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
