"""Schema migrations that many processes can run at the same time."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from psycopg import errors

from payment_service.key_store.statements import statement

if TYPE_CHECKING:
    from payment_service.key_store.postgres.session import BoundedConnection

# The number of schema_N.sql files.
SCHEMA_VERSION = 6

# IF NOT EXISTS ignores objects of uncommitted transactions: the session that loses the race waits
# for the other, then gets one of these errors.
LOST_RACE = (
    errors.UniqueViolation,
    errors.DuplicateTable,
    errors.DuplicateObject,
    errors.SerializationFailure,
)

# After each try, at least one more of a handful of statements is done.
MAX_TRIES = 20

# A migration of a large table reads all of it, which takes longer than the time-out of an
# operation. While it waits for its lock, all other sessions wait behind it, so it waits briefly.
MIGRATION_SECONDS = 600
OWN_TIMEOUTS = (
    f"SET LOCAL statement_timeout = '{MIGRATION_SECONDS}s'; SET LOCAL lock_timeout = '1s'"
)


def migrate(connection: BoundedConnection) -> None:
    """Apply the missing migrations. Every file is idempotent and commits separately.

    Therefore it needs no advisory lock: a pooler may send the unlock to another session, so that
    the first one keeps the lock.
    """
    for _ in range(MAX_TRIES):
        with suppress(*LOST_RACE):
            _apply_missing(connection)
            return
    _apply_missing(connection)


def _apply_missing(connection: BoundedConnection) -> None:
    if _version(connection) >= SCHEMA_VERSION:
        return
    connection.execute(statement("postgres", "versions.sql").encode())
    connection.give_up_at = time.monotonic() + MIGRATION_SECONDS
    for version in range(_version(connection) + 1, SCHEMA_VERSION + 1):
        # One message, so one transaction, in one session of a pooler.
        sql = f"{OWN_TIMEOUTS}; {statement('postgres', f'schema_{version}.sql')}"
        connection.execute(sql.encode())
        connection.execute(
            "INSERT INTO key_store_versions VALUES (%s) ON CONFLICT DO NOTHING", (version,)
        )


def _version(connection: BoundedConnection) -> int:
    try:
        found = connection.execute("SELECT max(version) FROM key_store_versions").fetchone()
    except errors.UndefinedTable:
        return 0
    return (found[0] if found else None) or 0
