"""Press a server with wrk, and read what came of it."""

from __future__ import annotations

import subprocess
import time
import uuid
from dataclasses import dataclass

from benchmarks.running import Running
from benchmarks.servers import PORT, ROOT

# Connections are made, threads started, pools filled, code warm: not measured.
WARM_UP_SECONDS = 3

# What was asked for when the warm-up hung up still waits for Stripe, and holds places.
SETTLE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement. Latencies in milliseconds; `cpu_ms` is the server's per request."""

    rate: float
    p50: float
    p99: float
    failed: int
    cpu_ms: float
    first_answer_seconds: float = 0.0
    worker_mb: float = 0.0


def press(server: Running, connections: int, seconds: int, script: str = "new_orders") -> Load:
    """Send as fast as the connections let, for a while; only what is answered 200 counts."""
    wrk(connections, WARM_UP_SECONDS, script)
    time.sleep(SETTLE_SECONDS)
    before = server.cpu_seconds()
    requests, micros, p50, p99, not_200, broken = wrk(connections, seconds, script)
    used = server.cpu_seconds() - before
    good = requests - not_200
    return Load(
        rate=good / micros * 1e6,
        p50=p50 / 1000,
        p99=p99 / 1000,
        failed=not_200 + broken,
        cpu_ms=used / max(1, requests) * 1000,
    )


def wrk(connections: int, seconds: int, script: str) -> tuple[int, ...]:
    """Run wrk; return requests, microseconds, p50, p99 (microseconds), not 200, broken."""
    threads = "2" if connections >= 2 else "1"
    command = ["wrk", "-t", threads, "-c", str(connections), "-d", str(seconds), "--timeout", "20"]
    lua = str(ROOT / "benchmarks" / f"{script}.lua")
    url = f"http://127.0.0.1:{PORT}"
    done = subprocess.run(
        [*command, "-s", lua, url, "--", uuid.uuid4().hex[:8]],
        capture_output=True, text=True, check=True, timeout=seconds + 60,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return tuple(int(word) for word in line.split()[1:7])
