"""Run a server or the fake Stripe: start it, wait for its first answer, and stop it."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from benchmarks.servers import PAYPAL_PORT, ROOT, STRIPE_PORT, Server

START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running server; `first_answer_seconds` is the time from its start to its first answer."""

    process: psutil.Process
    first_answer_seconds: float

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server and its children."""
        return cpu_seconds(self.process)

    def worker_bytes(self) -> float:
        """Return the average memory (proportional set size) of a worker."""
        workers = self.process.children(recursive=True)
        sizes = sorted((each.memory_full_info().pss for each in workers), reverse=True)[:2]
        return sum(sizes) / max(1, len(sizes))


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process and its children."""
    family = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in family)


@contextmanager
def running(server: Server) -> Iterator[RunningServer]:
    """Run a server on its port."""
    with _process(server.command, server.full_environ(), server.port) as found:
        yield found


@contextmanager
def fake_stripe(seconds: float = 0.0, slow_every: int = 0) -> Iterator[RunningServer]:
    """Run the fake Stripe, with a delay before each answer, and 8 s before every n-th."""
    options = ("--seconds", str(seconds), "--slow-every", str(slow_every))
    command = (sys.executable, "-m", "benchmarks.fake_stripe", "--port", str(STRIPE_PORT), *options)
    with _process(command, None, STRIPE_PORT) as found:
        yield found


@contextmanager
def paypal_stand_in(seconds: float) -> Iterator[RunningServer]:
    """Run PayPal's stand-in; each creation takes `seconds`."""
    options = ("--port", str(PAYPAL_PORT), "--latency-seconds", str(seconds))
    command = (sys.executable, "-m", "sandbox.paypal", *options)
    with _process(command, None, PAYPAL_PORT) as found:
        yield found


@contextmanager
def _process(
    command: tuple[str, ...], environ: dict[str, str] | None, port: int
) -> Iterator[RunningServer]:
    began = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            yield RunningServer(psutil.Process(process.pid), time.monotonic() - began)
        finally:
            _end(process)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    patience = time.monotonic() + START_SECONDS
    while time.monotonic() < patience and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
                probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if probe.recv(100):
                    return
        except OSError:
            time.sleep(0.002)
    raise RuntimeError(f"no answer on port {port}")


def _end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
    for each in psutil.wait_procs(family, timeout=5)[1]:
        each.kill()
