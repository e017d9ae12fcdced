"""A private in-memory directory that the processes of one service share."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time
from functools import cache
from pathlib import Path

log = logging.getLogger("key_store")

PREFIX = "stripe-back-end-api-"

# A new directory exists briefly without its lock: a directory this young is not abandoned.
YOUNG_SECONDS = 60.0

LOCK = "lock"

# Linux's world-writable in-memory file system; mkdtemp makes a directory that only we can read.
MEMORY = Path("/dev/shm")  # noqa: S108


@cache
def shared_directory() -> Path:
    """Return the directory of this process and its children, made at the first call.

    It is on disk if the system refuses one in memory. Raises OSError if it refuses both.
    """
    try:
        return make_directory(MEMORY)
    except OSError as refused:
        log.warning("No directory in memory, so one on disk", extra={"reason": str(refused)})
        return make_directory(Path(tempfile.gettempdir()))


def make_directory(base: Path) -> Path:
    """Make a directory in `base`, and remove those whose processes were killed.

    A file lock, which every child process inherits, marks the directory as in use.
    """
    for other in base.glob(f"{PREFIX}*"):
        if _is_abandoned(other):
            shutil.rmtree(other, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    lock = os.open(made / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as refused:
        # Other services get no lock either, and remove nothing.
        log.warning("No lock on the directory in memory", extra={"reason": str(refused)})
    return made


def _is_abandoned(directory: Path) -> bool:
    try:
        seen = directory.lstat()
        if seen.st_uid != os.getuid() or time.time() - seen.st_mtime < YOUNG_SECONDS:
            return False
        with (directory / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
