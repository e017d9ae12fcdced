"""CPU time of a new order by component, on each store: `make bench ARGS="--only cpu"`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.load import WARM_UP_SECONDS, wrk
from benchmarks.running import RunningServer, fake_stripe, running
from benchmarks.servers import Server
from benchmarks.split_app import DIRECTORY, ORDERS, totals

CONNECTIONS = 16
STORE_SERVERS = ("postgres", "redis-server")

COLUMNS = (
    "server", "HTTP framework", "validation", "flow", "log", "store", "Stripe client", "together",
    "the store's own server",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Split:
    """Microseconds of CPU of one new order, in the order of COLUMNS."""

    server: str
    micros: tuple[float, ...]


def measure(server: Server, seconds: int) -> Split:
    """Apply the load to the instrumented service."""
    with tempfile.TemporaryDirectory() as directory, fake_stripe():
        command = (sys.executable, "-m", "gunicorn", "benchmarks.split_app:timed()")
        environ = {**server.environ, DIRECTORY: directory}
        with running(replace(server, command=command, environ=environ)) as found:
            wrk(CONNECTIONS, WARM_UP_SECONDS, "new_orders")
            before = _spent(found, Path(directory))
            wrk(CONNECTIONS, seconds, "new_orders")
            after = _spent(found, Path(directory))
    spent = [then - now for then, now in zip(after, before, strict=True)]
    *parts, orders, whole, of_store = spent
    parts[0] = whole - sum(parts[1:])
    return Split(server.name, tuple(each / orders / 1000 for each in (*parts, whole, of_store)))


def _spent(service: RunningServer, directory: Path) -> tuple[float, ...]:
    """Return the time of each part, the orders, and the time of the service and the store's server.

    Times are in nanoseconds. The stores' servers are children of this process, and only the one in
    use is busy.
    """
    children = psutil.Process().children(recursive=True)
    stores = [each for each in children if each.name() in STORE_SERVERS]
    of_store = sum(sum(each.cpu_times()[:2]) for each in stores) * 1e9
    found = totals(directory)
    return (*found[: ORDERS + 1], service.cpu_seconds() * 1e9, of_store)


def table(found: Sequence[Split]) -> str:
    """Return a Markdown table."""
    lines = [
        "## Microseconds of CPU of a new order, Stripe answers at once, 16 connections",
        "",
        f"| | {' | '.join(COLUMNS)} |",
        "|---" + "|---:" * len(COLUMNS) + "|",
        *(
            f"| {each.server} | {' | '.join(f'{micros:.0f}' for micros in each.micros)} |"
            for each in found
        ),
    ]
    return "\n".join(["", *lines, ""])
