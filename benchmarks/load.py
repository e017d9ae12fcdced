"""Load a server with wrk, and parse the results."""

from __future__ import annotations

import subprocess
import time
import uuid
from dataclasses import dataclass

from benchmarks.running import RunningServer
from benchmarks.servers import PORT, ROOT

# Not measured: opens connections, starts threads, fills pools and caches.
WARM_UP_SECONDS = 3

# Requests in flight at the end of the warm-up still wait for Stripe and occupy threads.
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


def run_load(
    server: RunningServer, connections: int, seconds: int, script: str = "new_orders"
) -> Load:
    """Send requests as fast as the connections allow; count only responses with 200."""
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


def wrk(connections: int, seconds: int, script: str, port: int = PORT) -> tuple[int, ...]:
    """Run wrk; return requests, duration, p50, p99 (microseconds), not 200, broken."""
    threads = "2" if connections >= 2 else "1"
    command = ["wrk", "-t", threads, "-c", str(connections), "-d", str(seconds), "--timeout", "20"]
    lua = str(ROOT / "benchmarks" / f"{script}.lua")
    url = f"http://127.0.0.1:{port}"
    done = subprocess.run(
        [*command, "-s", lua, url, "--", uuid.uuid4().hex[:8]],
        capture_output=True, text=True, check=True, timeout=seconds + 60,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return tuple(int(word) for word in line.split()[1:7])
