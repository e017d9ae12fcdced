"""Bring the schema up to date, however many processes start at the same moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from psycopg import errors

from payment_service.key_store.statements import statement

if TYPE_CHECKING:
    from psycopg import Connection

# How many schema_N.sql there are.
SCHEMA_VERSION = 1

# IF NOT EXISTS does not look at what another session is making just now: who comes second waits
# for it, and is told one of these.
MADE_BY_ANOTHER = (
    errors.UniqueViolation,
    errors.DuplicateTable,
    errors.DuplicateObject,
    errors.SerializationFailure,
)

# Each try finds at least one more of a handful of statements done.
MAX_TRIES = 20


def migrate(connection: Connection[Any]) -> None:
    """Apply what is missing. Every statement may run twice, and each commits by itself.

    So it needs neither a lock (CockroachDB's is none, and behind a pooler its end may go to
    another session than its beginning, which then holds it for as long as it is kept) nor
    transactions around DDL (which YugabyteDB does not promise).
    """
    for _ in range(MAX_TRIES):
        with suppress(*MADE_BY_ANOTHER):
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
