"""The profiler of the benchmark that splits an order's CPU time by layer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from benchmarks.split_app import FLOW, STORE, STRIPE, StopWatch, totals

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
