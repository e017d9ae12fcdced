"""The directory of the workers' counter files, which gunicorn's master makes and cleans up."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

DIRECTORY_PREFIX = "payments-metrics-"


class CounterDirectory:
    """A new directory, or the one of PROMETHEUS_MULTIPROC_DIR. Raises OSError."""

    def __init__(self, given: Path | None) -> None:
        self.path = given or Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        if given is None:
            atexit.register(self._remove_at_the_end_of, os.getpid())

    def clear(self) -> None:
        """Delete the counts of earlier processes."""
        for left in self.path.glob("*.db"):
            left.unlink(missing_ok=True)

    def forget(self, worker: int) -> None:
        """Drop the gauges of a worker that ended; its counters stay."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker, str(self.path))  # type: ignore[no-untyped-call]

    def _remove_at_the_end_of(self, master: int) -> None:
        if os.getpid() == master:
            shutil.rmtree(self.path, ignore_errors=True)


@cache
def counter_directory(given: Path | None) -> CounterDirectory:
    """Return this process's directory; the cache keeps it across `kill -HUP`."""
    return CounterDirectory(given)
