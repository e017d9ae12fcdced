"""A connection pool for PostgreSQL in which every wait has a deadline."""

from __future__ import annotations

import logging
import math
import re
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

from payment_service.key_store.postgres.faults import UnusableDatabaseError
from payment_service.key_store.postgres.session import BoundedConnection, prepare

# Connections per process. An operation holds one for about a millisecond, so ten serve thousands
# of requests a second. PostgreSQL's default limit is 100 for all processes together.
POOL_SIZE = 10

# libpq then refuses a standby and a server with default_transaction_read_only, and tries the next
# host of the URL. A read from a standby may miss the latest writes.
WRITABLE = ("read-write", "primary")

# How often a waiting thread checks whether connecting has failed; a person perceives it as at once.
CHECK_SECONDS = 0.05


class PostgresPool:
    """psycopg's pool, with bounded waits and a check for dead connections before each use."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._failures: list[psycopg.Error] = []
        # psycopg logs each failed connection, which would flood the log under load: the store
        # logs each cause once.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._search_path = _search_path(url)
        self._pool = ConnectionPool(
            conninfo(url, timeout_seconds),
            connection_class=BoundedConnection,
            kwargs={"autocommit": True, "failed": self._note_failure},
            min_size=0,
            max_size=POOL_SIZE,
            configure=self._configure,
            # Requests trigger reconnects; psycopg's own back-off would grow to minutes.
            reconnect_timeout=0,
            name="key-store",
            open=True,
        )

    @contextmanager
    def connection(self, give_up_at: float) -> Iterator[BoundedConnection]:
        """Lend a connection. Drop it if a statement was interrupted, and all if it is read-only."""
        connection = self._live_connection(give_up_at)
        connection.give_up_at = give_up_at
        try:
            yield connection
        except errors.ReadOnlySqlTransaction:
            # After a failover the name resolves to another server, but the old one may keep its
            # connections open. A session that started read-only stays read-only.
            connection.close()
            self._pool.drain()
            raise
        finally:
            connection.give_up_at = math.inf
            if connection.pgconn.transaction_status != TransactionStatus.IDLE:
                connection.close()
            self._pool.putconn(connection)

    def close(self) -> None:
        self._pool.close()

    def _live_connection(self, give_up_at: float) -> BoundedConnection:
        """Take connections until one is alive: a server restart kills all idle ones."""
        while True:
            connection = self._next_connection(give_up_at)
            if not _closed_by_server(connection):
                return connection
            connection.close()
            self._pool.putconn(connection)

    def _next_connection(self, give_up_at: float) -> BoundedConnection:
        """Wait for a connection; raise early if connecting fails in the meantime."""
        earlier = self._failures
        while True:
            left = give_up_at - time.monotonic()
            try:
                return self._pool.getconn(min(left, CHECK_SECONDS))
            except PoolTimeout:
                if self._failures is not earlier:
                    # A copy, because every raise adds to the traceback.
                    raise copy(self._failures[0]) from None
                if left < CHECK_SECONDS:
                    raise

    def _configure(self, connection: BoundedConnection) -> None:
        connection.give_up_at = time.monotonic() + self._timeout_seconds
        try:
            prepare(connection, self._search_path, self._timeout_seconds)
        except psycopg.Error as error:
            self._note_failure(error)
            connection.close()
            raise
        connection.give_up_at = math.inf

    def _note_failure(self, error: psycopg.Error) -> None:
        """Keep the error for the waiting threads, which recognize a new list."""
        self._failures = [error]


def refuse_unusable(url: str, timeout_seconds: float) -> None:
    """Raise ValueError if the database cannot store every order, or not where the URL says.

    Ignore faults that an administrator can correct at the server while the service runs.
    """
    known = conninfo(url, timeout_seconds)
    try:
        with BoundedConnection.connect(known, failed=lambda _: None) as connection:
            connection.give_up_at = time.monotonic() + timeout_seconds
            prepare(connection, _search_path(url), timeout_seconds)
    except UnusableDatabaseError as wrong:
        raise ValueError(str(wrong)) from None
    except psycopg.Error:
        return


def _closed_by_server(connection: BoundedConnection) -> bool:
    """Whether the server has closed an idle connection: its socket is readable."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _check_ports(given: str) -> None:
    """Raise ValueError for invalid ports, which libpq notices only when it connects."""
    for port in given.split(","):
        if port and not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise ValueError


class NoUserError(Exception):
    """Neither the URL nor the system names a user, so no connection can succeed."""


def _check_user(given: Mapping[str, object]) -> None:
    """Raise NoUserError unless the URL, PGUSER, a service file or the system names the user."""
    defaults = {each.keyword: each.val for each in psycopg.pq.Conninfo.get_defaults()}
    if not any(given.get(name) or defaults.get(name.encode()) for name in ("user", "service")):
        raise NoUserError


def conninfo(url: str, timeout_seconds: float) -> str:
    """Add default time-outs to the URL. Raises ValueError, which never shows the URL."""
    bounds: dict[str, str | int | None] = {
        "connect_timeout": math.ceil(timeout_seconds),
        "tcp_user_timeout": round(timeout_seconds * 1000),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "key-store",
    }
    try:
        given = conninfo_to_dict(url)
        _check_ports(str(given.get("port") or ""))
        _check_user(given)
        if given.get("target_session_attrs") not in WRITABLE:
            given["target_session_attrs"] = WRITABLE[0]
        # Overrides the URL, PGCLIENTENCODING, the role and the database.
        return make_conninfo("", **(bounds | given | {"client_encoding": "utf8"}))
    except NoUserError:
        raise ValueError(
            "a postgresql URL must name its user, postgresql://user:password@host/database, "
            "because this process's own user has no name"
        ) from None
    except (psycopg.Error, ValueError):
        raise ValueError(
            "a postgresql URL is postgresql://user:password@host:5432/database; percent-encode "
            "special characters in the password"
        ) from None


def _search_path(url: str) -> str | None:
    """Return the search_path in the URL's options, as PostgreSQL shows it, or None."""
    options = str(conninfo_to_dict(conninfo(url, 1)).get("options") or "")
    found = re.findall(r"-c\s*search_path=((?:\\.|\S)*)", options)
    return re.sub(r"\\(.)", r"\1", found[-1]) if found else None
