"""The profiler of the benchmark that splits an order's CPU time by layer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.split_app import DIRECTORY, FLOW, ORDERS, STORE, STRIPE, StopWatch, totals
from tests.support.sandbox_process import ROOT

BUSY_NS = 5_000_000


def busy() -> None:
    until = time.thread_time_ns() + BUSY_NS
    while time.thread_time_ns() < until:
        pass


def test_nested_call_is_not_charged_to_its_caller(tmp_path: Path) -> None:
    watch = StopWatch(tmp_path / "1")

    def flow() -> None:
        busy()
        watch.during(STORE, busy)
        watch.during(STORE, busy)

    began = time.thread_time_ns()
    watch.during(FLOW, flow)
    spent = totals(tmp_path)
    assert spent[STORE] >= 2 * BUSY_NS
    assert spent[FLOW] >= BUSY_NS
    assert spent[FLOW] + spent[STORE] <= time.thread_time_ns() - began
    assert spent[STRIPE] == 0


def test_threads_and_processes_are_summed(tmp_path: Path) -> None:
    watches = [StopWatch(tmp_path / name) for name in ("1", "2")]
    for watch in watches:
        threads = [threading.Thread(target=watch.of(STORE, busy)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert totals(tmp_path)[STORE] >= 4 * BUSY_NS


ONE_ORDER = """
import io
from benchmarks.split_app import timed
body = b'{"amount": 1099, "currency": "usd", "order_id": "A-1"}'
environ = {
    "REQUEST_METHOD": "POST", "PATH_INFO": "/create-payment-intent", "SERVER_NAME": "x",
    "SERVER_PORT": "1", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
    "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http",
}
timed()(environ, lambda status, headers: print(status))
"""


def test_profiled_service_counts_its_orders(tmp_path: Path) -> None:
    """Nothing listens at Stripe's address."""
    stripe = {"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_API_BASE": "http://127.0.0.1:1"}
    environ = {"PATH": os.environ["PATH"], DIRECTORY: str(tmp_path), **stripe}
    command = [sys.executable, "-c", ONE_ORDER]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("503 "), done.stderr
    spent = totals(tmp_path)
    assert spent[ORDERS] == 1
    assert spent[FLOW] > 0
    assert spent[STRIPE] > 0
