"""Connections to PostgreSQL that nobody waits for longer than agreed."""

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

# Connections of one process. An operation holds one for about a millisecond, so that ten serve
# thousands of requests a second; PostgreSQL takes 100 from all processes unless told otherwise.
POOL_SIZE = 10

# What holds every character. SQL_ASCII keeps the bytes that it is sent, and we send UTF-8.
ENCODINGS = ("UTF8", "SQL_ASCII")

CANNOT_HOLD = (
    "the PostgreSQL database's encoding is {}, which cannot hold every order: "
    "make a database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
)

log = logging.getLogger(__name__)

# How often whoever waits for a connection looks whether none can be made: a person's "at once".
LOOK_SECONDS = 0.05


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait ends at `give_up_at` (time.monotonic()).

    The server's statement_timeout does not help when the server or the network stands still.
    """

    give_up_at = math.inf

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.give_up_at != math.inf:
            timeout = max(0.0, self.give_up_at - time.monotonic())
        return super().wait(gen, interval, timeout)


class PostgresPool:
    """psycopg's pool, with every wait bounded and dead connections noticed before they are used."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._failures = 0
        self._complained: str | None = None
        # Its lines for each failed connection would fill the log of a service under load, which
        # says for each request that the store did not answer.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool = ConnectionPool(
            conninfo(url, timeout_seconds),
            connection_class=BoundedConnection,
            kwargs={"autocommit": True},
            min_size=0,
            max_size=POOL_SIZE,
            configure=self._configure,
            # Tries go on as long as requests come, not on a schedule that grows to minutes.
            reconnect_timeout=0,
            reconnect_failed=self._count_failure,
            name="key-store",
            open=True,
        )

    @contextmanager
    def connection(self, give_up_at: float) -> Iterator[BoundedConnection]:
        """Lend a connection; one that failed in mid-statement, or may not write, is not kept."""
        connection = self._live(give_up_at)
        connection.give_up_at = give_up_at
        try:
            yield connection
        except errors.ReadOnlySqlTransaction:
            # After a failover another server answers to the name, while this one lives on and
            # never hangs up; and a session that began read-only stays so.
            connection.close()
            raise
        finally:
            connection.give_up_at = math.inf
            self._pool.putconn(connection)

    def close(self) -> None:
        self._pool.close()

    def _live(self, give_up_at: float) -> BoundedConnection:
        """Take connections until one is not dead: after a restart all that were idle are."""
        while True:
            connection = self._next(give_up_at)
            if not _hung_up(connection):
                return connection
            connection.close()
            self._pool.putconn(connection)

    def _next(self, give_up_at: float) -> BoundedConnection:
        """Wait for a connection, but not for longer than it takes to see that none can be made."""
        failures = self._failures
        while True:
            left = give_up_at - time.monotonic()
            try:
                return self._pool.getconn(min(left, LOOK_SECONDS))
            except PoolTimeout:
                if left < LOOK_SECONDS or self._failures > failures:
                    raise

    def _configure(self, connection: BoundedConnection) -> None:
        """Look at the encoding, and bound the statements.

        Not in the start-up options: PgBouncer refuses those.
        """
        self._refuse_encoding(connection)
        connection.give_up_at = time.monotonic() + self._timeout_seconds
        milliseconds = max(1, round(self._timeout_seconds * 1000))
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false)", (f"{milliseconds}ms",)
        )
        connection.give_up_at = math.inf

    def _refuse_encoding(self, connection: BoundedConnection) -> None:
        """Raise OperationalError where a database cannot hold every order; log why, once."""
        wrong = complaint_of(connection)
        if wrong and wrong != self._complained:
            log.error("No order is taken: %s", wrong)
        self._complained = wrong
        if wrong:
            raise psycopg.OperationalError(wrong)

    def _count_failure(self, _: object) -> None:
        self._failures += 1


def complaint_of(connection: psycopg.Connection[Any]) -> str | None:
    """Return why the database cannot hold every order, or None where it can."""
    told = connection.pgconn.parameter_status(b"server_encoding")
    encoding = told.decode() if told else "unknown"
    return None if encoding in ENCODINGS else CANNOT_HOLD.format(encoding)


def refuse_unusable(url: str, timeout_seconds: float) -> None:
    """Raise ValueError where the database cannot hold every order; one that is down may come."""
    try:
        with psycopg.connect(conninfo(url, timeout_seconds)) as connection:
            wrong = complaint_of(connection)
    except psycopg.Error:
        return
    if wrong:
        raise ValueError(wrong)


def _hung_up(connection: BoundedConnection) -> bool:
    """Whether the server has closed an idle connection: its socket has the end to read."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _look_at_ports(given: str) -> None:
    """Raise ValueError for what libpq itself would find out only when it connects."""
    for port in given.split(","):
        if port and not (port.isdecimal() and 1 <= int(port) <= 65535):
            raise ValueError


class NoUserError(Exception):
    """Neither the URL nor the system names a user: no connection could ever be made."""


def _look_for_user(given: Mapping[str, object]) -> None:
    """Raise NoUserError unless the URL, PGUSER, a service file or the system names the user."""
    defaults = {each.keyword: each.val for each in psycopg.pq.Conninfo.get_defaults()}
    if not any(given.get(name) or defaults.get(name.encode()) for name in ("user", "service")):
        raise NoUserError


def conninfo(url: str, timeout_seconds: float) -> str:
    """Add bounds to the URL, where it does not set its own. Raises ValueError, which hides it."""
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
        _look_at_ports(str(given.get("port") or ""))
        _look_for_user(given)
        # Over what the URL, PGCLIENTENCODING, the role and the database say.
        return make_conninfo("", **(bounds | given | {"client_encoding": "utf8"}))
    except NoUserError:
        raise ValueError(
            "a postgresql URL must name its user, postgresql://user:password@host/database, "
            "where this process's own user has no name"
        ) from None
    except (psycopg.Error, ValueError):
        raise ValueError(
            "a postgresql URL is postgresql://user:password@host:5432/database; a password's "
            "special characters are written as percent codes"
        ) from None
