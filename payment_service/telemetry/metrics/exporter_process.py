"""Runs the exporter from the gunicorn master and prepares the workers' metrics directory."""

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

# How often an exporter checks whether its master is alive.
PARENT_SECONDS = 2.0

# By then, the exporter of a killed master has stopped.
FREE_SECONDS = PARENT_SECONDS + 2.0


class Exporter:
    """The exporter's process. `directory` holds the workers' counter files."""

    def __init__(self, directory: Path | None) -> None:
        self._made = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self._stop_with, os.getpid())

    def start(self, host: str, port: int) -> None:
        """Delete the counts of earlier processes and start the exporter.

        Raises OSError if it cannot listen.
        """
        _wait_for_address(host, port)
        for left in self.directory.glob("*.db"):
            left.unlink()
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "payment_service.telemetry.metrics.exporter", str(os.getpid())],
            cwd=Path(__file__).resolve().parents[3],
        )

    def forget(self, worker: int) -> None:
        """Drop the gauges of a worker that ended; its counters stay."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker, str(self.directory))  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Stop the exporter."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _stop_with(self, master: int) -> None:
        """Stop the exporter when the master exits, but not when a forked worker does."""
        if os.getpid() == master:
            self.stop()


def _wait_for_address(host: str, port: int) -> None:
    """Wait until the address is free. Raises OSError if it stays taken or is invalid."""
    patience = time.monotonic() + FREE_SECONDS
    while True:
        try:
            return _listen(host, port)
        except OSError as wrong:
            if wrong.errno != errno.EADDRINUSE or time.monotonic() > patience:
                raise
        time.sleep(0.05)


def _listen(host: str, port: int) -> None:
    """Listen briefly, as the exporter will."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


@cache
def open_exporter(directory: Path | None) -> Exporter:
    """Return this process's exporter; the cache keeps it across `kill -HUP`."""
    return Exporter(directory)
