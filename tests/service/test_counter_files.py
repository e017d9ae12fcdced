"""A full disk stops the counters and never the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from payment_service.telemetry.metrics.counter_files import AllocatedDict
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess, free_port

COUNT = """
import resource, signal, sys
from payment_service.telemetry.metrics import counter_files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
counter_files.install()
from prometheus_client import CollectorRegistry, Counter
counter = Counter("things", "Things.", ["kind"], registry=CollectorRegistry())
for number in range(2000):
    counter.labels(f"kind {number}").inc()
assert counter.labels("kind 7")._value.get() == 1
"""

STORE = """
import sys
from payment_service.key_store.contract import KeyRecord, Order, StoreUnavailable
from payment_service.key_store.sqlite.store import SqliteStore
store = SqliteStore(sys.argv[1], timeout_seconds=1.0, durable=False)
try:
    for number in range(100_000):
        order = Order(False, None, str(number))
        store.claim(KeyRecord(order, 1, "f", "{}" * 500, "pending", "me", 0.0, 0.0, 0.0))
except StoreUnavailable:
    print("refused")
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a small file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return


@pytest.mark.parametrize("room", [4096, 100_000])
def test_full_disk_is_logged_once(tmp_path: Path, room: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(room)],
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No space left for the metrics") == 1


def test_allocated_file_is_readable(tmp_path: Path) -> None:
    name = str(tmp_path / "counter_1.db")
    counts = AllocatedDict(name)
    for number in range(3000):
        counts.write_value(f"key {number}", float(number), 0.0)  # type: ignore[no-untyped-call]
    counts.close()
    entries = MmapedDict.read_all_values_from_file(name)  # type: ignore[no-untyped-call]
    found = {key.strip(): value for key, value, *_ in entries}
    assert found == {f"key {number}": float(number) for number in range(3000)}
    again = AllocatedDict(name)
    assert again.read_value("key 2999") == (2999.0, 0.0)  # type: ignore[no-untyped-call]
    again.close()


def test_service_without_room_for_counters_serves(
    sandbox: SandboxProcess, small_disk: Path
) -> None:
    fill(small_disk)
    environ = {
        "METRICS_PORT": str(free_port()),
        "PROMETHEUS_MULTIPROC_DIR": str(small_disk),
    }
    with ServiceProcess(sandbox.url, environ) as service:
        before = service.workers()
        assert service.create("no-room").status_code == 200
        assert service.workers() == before
        assert "No space left for the metrics" in service.log()


def test_full_shared_memory_rejects_orders_and_kills_no_worker(small_disk: Path) -> None:
    """SQLite maps its -shm file, so its pages are written before they are mapped."""
    done = subprocess.run(
        [sys.executable, "-c", STORE, str(small_disk / "orders.db")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_workers_that_die_at_once_are_replaced_one_a_second() -> None:
    seconds = 4.0
    with (
        SandboxProcess() as sandbox,
        ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}) as service,
    ):
        killed = set[int]()
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            for worker in service.workers():
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                killed.add(worker)
            time.sleep(0.01)
        assert 1 <= len(killed) <= seconds + 2
        assert service.get("/healthz", timeout=60).status_code == 200
