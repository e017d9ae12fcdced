"""A connection pool for PostgreSQL in which every wait has a deadline."""

from __future__ import annotations

import logging
import math
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolTimeout

# Connections per process. An operation holds one for about a millisecond, so ten serve thousands
# of requests a second. PostgreSQL's default limit is 100 for all processes together.
POOL_SIZE = 10

# Encodings that can store every character. SQL_ASCII stores bytes unchanged, and we send UTF-8.
ENCODINGS = ("UTF8", "SQL_ASCII")

CANNOT_STORE = (
    "the PostgreSQL database's encoding is {}, which cannot store every order: "
    "make a database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
)

log = logging.getLogger(__name__)

# How often a waiting thread checks whether connecting has failed; a person perceives it as at once.
CHECK_SECONDS = 0.05


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which every wait ends at `give_up_at` (time.monotonic()).

    The server's statement_timeout does not help if the server or the network hangs.
    """

    give_up_at = math.inf

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.give_up_at != math.inf:
            timeout = max(0.0, self.give_up_at - time.monotonic())
        return super().wait(gen, interval, timeout)


class PostgresPool:
    """psycopg's pool, with bounded waits and a check for dead connections before each use."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._failures = 0
        self._logged_problem: str | None = None
        # psycopg logs each failed connection, which would flood the log under load: each request
        # already logs that the store did not answer.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool = ConnectionPool(
            conninfo(url, timeout_seconds),
            connection_class=BoundedConnection,
            kwargs={"autocommit": True},
            min_size=0,
            max_size=POOL_SIZE,
            configure=self._configure,
            # Requests trigger reconnects; psycopg's own back-off would grow to minutes.
            reconnect_timeout=0,
            reconnect_failed=self._count_failure,
            name="key-store",
            open=True,
        )

    @contextmanager
    def connection(self, give_up_at: float) -> Iterator[BoundedConnection]:
        """Lend a connection. Drop it if a statement was interrupted or it became read-only."""
        connection = self._live_connection(give_up_at)
        connection.give_up_at = give_up_at
        try:
            yield connection
        except errors.ReadOnlySqlTransaction:
            # After a failover the name resolves to another server, but the old one may keep this
            # connection open. A session that started read-only stays read-only.
            connection.close()
            raise
        finally:
            connection.give_up_at = math.inf
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
        """Wait for a connection; stop early if connecting fails in the meantime."""
        failures = self._failures
        while True:
            left = give_up_at - time.monotonic()
            try:
                return self._pool.getconn(min(left, CHECK_SECONDS))
            except PoolTimeout:
                if left < CHECK_SECONDS or self._failures > failures:
                    raise

    def _configure(self, connection: BoundedConnection) -> None:
        """Check the encoding and set statement_timeout.

        PgBouncer rejects statement_timeout as a start-up option.
        """
        self._refuse_encoding(connection)
        connection.give_up_at = time.monotonic() + self._timeout_seconds
        milliseconds = max(1, round(self._timeout_seconds * 1000))
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false)", (f"{milliseconds}ms",)
        )
        connection.give_up_at = math.inf

    def _refuse_encoding(self, connection: BoundedConnection) -> None:
        """Raise OperationalError if the database cannot store every order; log each reason once."""
        problem = problem_of(connection)
        if problem and problem != self._logged_problem:
            log.error("No order is taken: %s", problem)
        self._logged_problem = problem
        if problem:
            raise psycopg.OperationalError(problem)

    def _count_failure(self, _: object) -> None:
        self._failures += 1


def problem_of(connection: psycopg.Connection[Any]) -> str | None:
    """Return why the database cannot store every order, or None if it can."""
    status = connection.pgconn.parameter_status(b"server_encoding")
    encoding = status.decode() if status else "unknown"
    return None if encoding in ENCODINGS else CANNOT_STORE.format(encoding)


def refuse_unusable(url: str, timeout_seconds: float) -> None:
    """Raise ValueError if the database cannot store every order; ignore one that is down."""
    try:
        with psycopg.connect(conninfo(url, timeout_seconds)) as connection:
            problem = problem_of(connection)
    except psycopg.Error:
        return
    if problem:
        raise ValueError(problem)


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
