"""Bring the schema up to date, however many processes start at the same moment."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from psycopg import errors

from key_store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

# How many schema_N.sql there are.
SCHEMA_VERSION = 1

# Any number that other users of the database do not lock: "key_stor" in ASCII.
LOCK = 0x6B65795F73746F72

NO_SUCH_LOCKS = (errors.FeatureNotSupported, errors.UndefinedFunction)


def migrate(connection: Connection[Any]) -> None:
    """Apply what is missing. Every statement may run twice, and each commits by itself.

    So it needs neither a real lock (CockroachDB's is none) nor transactions around DDL (which
    YugabyteDB does not promise); the lock spares PostgreSQL the errors of two at a time.
    """
    if _version(connection) >= SCHEMA_VERSION:
        return
    with _locked(connection):
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


@contextmanager
def _locked(connection: Connection[Any]) -> Iterator[None]:
    """Hold LOCK, where the engine has such locks; the session may go on, so it must not keep it."""
    with suppress(*NO_SUCH_LOCKS):
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        yield
    finally:
        with suppress(*NO_SUCH_LOCKS):
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
