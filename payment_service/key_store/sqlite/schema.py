"""Schema migrations that many processes can run at the same time."""

from __future__ import annotations

import sqlite3

from payment_service.key_store.sqlite.retry import execute_with_retry
from payment_service.key_store.statements import statement

# The value of PRAGMA user_version after every schema_N.sql has been applied.
SCHEMA_VERSION = 6


def migrate(connection: sqlite3.Connection, give_up_at: float) -> None:
    """Apply the missing migrations, each in its own transaction.

    A migration of a large table reads all of it. Between two of them, other processes get their
    turn to write.
    """
    while _version(connection, give_up_at) < SCHEMA_VERSION:
        execute_with_retry(connection, "BEGIN IMMEDIATE", (), give_up_at)
        version = _version(connection, give_up_at) + 1
        if version <= SCHEMA_VERSION:
            for sql in statement("sqlite", f"schema_{version}.sql").split(";"):
                connection.execute(sql)
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, give_up_at: float) -> int:
    found: int = execute_with_retry(connection, "PRAGMA user_version", (), give_up_at).fetchone()[0]
    return found
