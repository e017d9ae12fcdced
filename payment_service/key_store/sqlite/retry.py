"""Waits for a file that another process has locked."""

from __future__ import annotations

import sqlite3
import time
from typing import Any


def execute_with_retry(
    connection: sqlite3.Connection, sql: str, values: Any, give_up_at: float
) -> sqlite3.Cursor:
    """Execute a statement that begins a transaction; retry while another one blocks it."""
    while True:
        try:
            return connection.execute(sql, values)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= give_up_at:
                raise


def _is_busy(error: sqlite3.OperationalError) -> bool:
    """Compare the primary error code, which is the low byte of an extended one."""
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
