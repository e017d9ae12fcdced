"""The workers' counter files, allocated so that a full disk cannot kill a worker.

prometheus_client sets the length of a file and maps it. If the file system is full, the first write
to the map ends the process with SIGBUS. This module allocates the space first.
"""

from __future__ import annotations

import logging
import mmap
import os
from contextlib import suppress
from functools import cache
from typing import Any, BinaryIO

from prometheus_client import mmap_dict, values

log = logging.getLogger("metrics")

FIRST_BYTES = 1 << 16


class AllocatedDict(mmap_dict.MmapedDict):
    """prometheus_client's dict in a file; in memory only if the file cannot be allocated."""

    _f: BinaryIO | None  # type: ignore[assignment]
    _m: Any

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        """Allocate the file, then map it."""
        if not read_mode:
            try:
                _allocate(filename, FIRST_BYTES)
            except OSError as full:
                self._count_in_memory(full)
                # An empty file would be unreadable to the exporter.
                with suppress(OSError):
                    os.unlink(filename)
                return
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        """Allocate space for a new key before the file grows."""
        # A key takes its length, at most 8 bytes of padding, a value and a time.
        needed = self._used + len(key.encode()) + 32
        capacity = self._capacity
        while capacity < needed:
            capacity *= 2
        if capacity > self._capacity:
            self._grow(capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, capacity: int) -> None:
        if self._f is None:
            self._move_to_memory(capacity)
            return
        try:
            _allocate(self._fname, capacity)
        except OSError as full:
            _log_full(full)
            self._f.close()
            self._f = None
            self._move_to_memory(capacity)

    def _count_in_memory(self, full: OSError) -> None:
        _log_full(full)
        self._f, self._fname = None, ""
        self._positions: dict[str, int] = {}
        self._capacity, self._used = FIRST_BYTES, 8
        self._m = mmap.mmap(-1, FIRST_BYTES)

    def _move_to_memory(self, capacity: int) -> None:
        larger = mmap.mmap(-1, capacity)
        larger[: self._capacity] = self._m[:]
        self._m, self._capacity = larger, capacity

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._f is None:
            self._m = None
            return
        super().close()  # type: ignore[no-untyped-call]


def install() -> None:
    """Make prometheus_client use these files. Call it before defining the first metric."""
    module: Any = values
    module.MmapedDict = AllocatedDict


def _allocate(filename: str, length: int) -> None:
    """Allocate a file's space. Raises OSError if the file system is full."""
    descriptor = os.open(filename, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.posix_fallocate(descriptor, 0, length)
    finally:
        os.close(descriptor)


def _log_full(full: OSError) -> None:
    _log_once(full.strerror or type(full).__name__)


@cache
def _log_once(reason: str) -> None:
    log.error(
        "No space left for the metrics in PROMETHEUS_MULTIPROC_DIR: this worker's metrics are "
        "incomplete until it restarts",
        extra={"reason": reason},
    )
