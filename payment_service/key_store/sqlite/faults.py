"""SQLite's failures, as causes of a store that is unavailable."""

from __future__ import annotations

import errno
import sqlite3

from payment_service.key_store.contract import Cause

# In a UTF-16 database, SQLite confuses some characters, so two orders could share a key.
NOT_UTF8 = "the SQLite file's encoding is not UTF-8: name a new file, which the service will create"
READ_ONLY = "the SQLite file may not be written to"
REPLACED = "the SQLite file was removed or replaced"

# SQLite's primary result codes, and the causes they stand for.
CAUSES: dict[int, Cause] = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_PERM: "permission",
    sqlite3.SQLITE_AUTH: "permission",
    sqlite3.SQLITE_CANTOPEN: "file",
    sqlite3.SQLITE_CORRUPT: "file",
    sqlite3.SQLITE_NOTADB: "file",
    sqlite3.SQLITE_IOERR: "file",
}

# errno's of the operating system.
OS_CAUSES: dict[int, Cause] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


def cause_of(error: sqlite3.Error | OSError) -> Cause:
    """Return the cause that an error of SQLite or of the operating system stands for."""
    if isinstance(error, OSError):
        return OS_CAUSES.get(error.errno or 0, "file")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return CAUSES.get(code, "rejected")
