"""What the gunicorn master does for the metrics: a directory for the workers, and the exporter."""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

DIRECTORY_PREFIX = "payments-metrics-"

# How often an exporter looks whether its master lives.
PARENT_SECONDS = 2.0

# The exporter of a master that was killed is gone by then.
FREE_SECONDS = PARENT_SECONDS + 2.0


class Exporter:
    """The exporter's process, from `start` to `stop`. `directory` is where the workers count."""

    def __init__(self, directory: Path | None) -> None:
        self._made = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self._stop_with, os.getpid())

    def start(self, host: str, port: int) -> None:
        """Start it, on an empty directory: counts of processes that are gone are not ours.

        Raises OSError where it could not listen.
        """
        _wait_for_address(host, port)
        for left in self.directory.glob("*.db"):
            left.unlink()
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "payment_service.telemetry.metrics.exporter", str(os.getpid())],
            cwd=Path(__file__).resolve().parents[3],
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

    def _stop_with(self, master: int) -> None:
        """However it ends, and before it began; a worker ends without us."""
        if os.getpid() == master:
            self.stop()


def _wait_for_address(host: str, port: int) -> None:
    """Look whether one could listen there. Raises OSError."""
    patience = time.monotonic() + FREE_SECONDS
    while True:
        try:
            return _listen(host, port)
        except OSError as wrong:
            if wrong.errno != errno.EADDRINUSE or time.monotonic() > patience:
                raise
        time.sleep(0.05)


def _listen(host: str, port: int) -> None:
    """For a moment, as the exporter will."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


@cache
def open_exporter(directory: Path | None) -> Exporter:
    """Return the one of this process, `kill -HUP` or not."""
    return Exporter(directory)
