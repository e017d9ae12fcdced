"""What the gunicorn master does for the metrics: a directory for the workers, and the exporter."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

DIRECTORY_PREFIX = "payments-metrics-"


class Exporter:
    """The exporter's process, from `start` to `stop`. `directory` is where the workers count."""

    def __init__(self, directory: Path | None) -> None:
        self._made = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, on an empty directory: counts of processes that are gone are not ours."""
        for left in self.directory.glob("*.db"):
            left.unlink()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "metrics.exporter"], cwd=Path(__file__).resolve().parent.parent
        )

    def forget(self, worker: int) -> None:
        """Drop what a worker that ended said of now; what it counted stays."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker, str(self.directory))  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)


@cache
def open_exporter(directory: Path | None) -> Exporter:
    """Return the one of this process, `kill -HUP` or not."""
    return Exporter(directory)
