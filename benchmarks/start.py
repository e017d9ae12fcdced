"""Time from the start of a server to its first answer, and the memory of an idle worker.

Each round starts every server once, one after the other, and ratios are computed within a round.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.running import fake_stripe, running
from benchmarks.servers import Server

STARTS = 11

# Lets the kernel clean up after the previous server.
SETTLE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Start:
    """Medians; the ratio is relative to the first server."""

    server: str
    first_answer_seconds: float
    ratio: float
    idle_worker_mb: float


def measure(servers: Sequence[Server]) -> list[Start]:
    """Start each server once to fill the file cache and compile, then measure."""
    with fake_stripe():
        for server in servers:
            _start(server)
        turns = [[_start(server) for server in servers] for _ in range(STARTS)]
    return [
        Start(
            server.name,
            median(turn[place][0] for turn in turns),
            median(turn[place][0] / turn[0][0] for turn in turns),
            median(turn[place][1] for turn in turns),
        )
        for place, server in enumerate(servers)
    ]


def table(found: Sequence[Start]) -> str:
    """Return a Markdown table."""
    lines = [
        f"## Start, median of {STARTS} rounds",
        "",
        f"| server | first answer s | of {found[0].server} | MB a worker, idle |",
        "|---|---:|---:|---:|",
        *(
            f"| {each.server} | {each.first_answer_seconds:.3f} | {each.ratio:.2f} "
            f"| {each.idle_worker_mb:.0f} |"
            for each in found
        ),
        "",
    ]
    return "\n".join(lines)


def _start(server: Server) -> tuple[float, float]:
    time.sleep(SETTLE_SECONDS)
    with running(server) as found:
        return found.first_answer_seconds, found.worker_bytes() / 1e6
