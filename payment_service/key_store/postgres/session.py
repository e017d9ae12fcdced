"""A session with PostgreSQL, which a pooler may share with other clients."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import psycopg

from payment_service.key_store.postgres.faults import UnusableDatabaseError

# Encodings that can store every character. SQL_ASCII stores bytes unchanged, and we send UTF-8.
ENCODINGS = ("UTF8", "SQL_ASCII")

CANNOT_STORE = (
    "the PostgreSQL database's encoding is {}, which cannot store every order: "
    "make a database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
)

LOST_OPTIONS = (
    "a pooler ignored the URL's search_path: set it with ALTER ROLE ... SET search_path, "
    "or let PgBouncer 1.20 or newer track it"
)

# A pooler such as PgBouncer makes up the process id that it tells a client. Only in a session of
# our own may a setting outlive the transaction.
OWN_SESSION = """
SELECT
    pg_backend_pid() = %(pid)s,
    current_setting('search_path'),
    CASE WHEN pg_backend_pid() = %(pid)s
        THEN set_config('statement_timeout', %(timeout)s, false)
    END
"""

# The floats of a simple query come as text, from which the session may drop most digits.
LOCAL_SETTINGS = b"""
SELECT
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('extra_float_digits', '3', true);
"""


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which every wait ends at `give_up_at` (time.monotonic()).

    The server's statement_timeout does not help if the server or the network hangs.

    `local_timeout` is the statement_timeout to set for each transaction, where other clients share
    the server's session; None if no other client uses it.
    """

    give_up_at = math.inf
    local_timeout: str | None = None

    @classmethod
    def connect(  # type: ignore[override]
        cls, conninfo: str, *, failed: Callable[[psycopg.Error], None], **given: Any
    ) -> Self:
        """Connect; report an error to `failed`, because the pool only logs it."""
        try:
            return super().connect(conninfo, **given)
        except psycopg.Error as error:
            failed(error)
            raise

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.give_up_at != math.inf:
            timeout = max(0.0, self.give_up_at - time.monotonic())
        return super().wait(gen, interval, timeout)

    def run(self, sql: bytes, values: Mapping[str, Any]) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement as one transaction, in one round trip."""
        # In text format, the server's extra_float_digits may drop most digits of an instant.
        if self.local_timeout is None:
            return self.execute(sql, values, binary=True)
        # One simple query is one transaction. psycopg's pipeline is not: it may send a Flush after
        # the Sync, to which PgBouncer gives a session that no answer releases again.
        local = {"statement_timeout": self.local_timeout}
        cursor = psycopg.ClientCursor(self).execute(LOCAL_SETTINGS + sql, {**values, **local})
        cursor.nextset()
        return cursor


def problem_of(connection: psycopg.Connection[Any]) -> str | None:
    """Return why the database cannot store every order, or None if it can."""
    status = connection.pgconn.parameter_status(b"server_encoding")
    encoding = status.decode() if status else "unknown"
    return None if encoding in ENCODINGS else CANNOT_STORE.format(encoding)


def prepare(connection: BoundedConnection, search_path: str | None, timeout_seconds: float) -> None:
    """Check a new session and bound its statements.

    PgBouncer rejects statement_timeout as a start-up option. Raises UnusableDatabaseError.
    """
    problem = problem_of(connection)
    if problem:
        raise UnusableDatabaseError(problem)
    timeout = f"{max(1, round(timeout_seconds * 1000))}ms"
    values = {"pid": connection.info.backend_pid, "timeout": timeout}
    own, found, _ = connection.execute(OWN_SESSION, values).fetchall()[0]
    if search_path not in (None, found):
        raise UnusableDatabaseError(LOST_OPTIONS)
    if not own:
        # Other clients get the same session after each transaction: change nothing in it, and run
        # no prepared statement, because its name may be another client's.
        connection.local_timeout, connection.prepare_threshold = timeout, None
