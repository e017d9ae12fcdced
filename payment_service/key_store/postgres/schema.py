"""Schema migrations that many processes can run at the same time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from psycopg import errors

from payment_service.key_store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

# The number of schema_N.sql files.
SCHEMA_VERSION = 1

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


def migrate(connection: Connection[Any]) -> None:
    """Apply the missing migrations. Every statement is idempotent and commits separately.

    Therefore it needs no advisory lock: a pooler may send the unlock to another session, so that
    the first one keeps the lock.
    """
    for _ in range(MAX_TRIES):
        with suppress(*LOST_RACE):
            _apply_missing(connection)
            return
    _apply_missing(connection)


def _apply_missing(connection: Connection[Any]) -> None:
    if _version(connection) >= SCHEMA_VERSION:
        return
    connection.execute(statement("postgres", "versions.sql").encode())
    for version in range(_version(connection) + 1, SCHEMA_VERSION + 1):
        connection.execute(statement("postgres", f"schema_{version}.sql").encode())
        connection.execute(
            "INSERT INTO key_store_versions VALUES (%s) ON CONFLICT DO NOTHING", (version,)
        )


def _version(connection: Connection[Any]) -> int:
    try:
        found = connection.execute("SELECT max(version) FROM key_store_versions").fetchone()
    except errors.UndefinedTable:
        return 0
    return (found[0] if found else None) or 0
