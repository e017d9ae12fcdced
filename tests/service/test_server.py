"""The service under gunicorn: shared memory, a hanging Stripe, CPU affinity."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from payment_service.key_store.shared_directory import LOCK, PREFIX, shared_directory
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop_listener import until

HUNG = 60


@pytest.fixture
def base() -> Iterator[Path]:
    """Return the parent of shared directories; the test must leave nothing there."""
    base = shared_directory().parent
    before = set(base.glob(f"{PREFIX}*"))
    yield base
    # Another service on this machine may remove its own directory during the test.
    assert set(base.glob(f"{PREFIX}*")) <= before


def test_workers_of_a_memory_store_share_orders(sandbox: SandboxProcess, base: Path) -> None:
    before = set(base.glob(f"{PREFIX}*"))
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "2"}) as service:
        assert len(set(base.glob(f"{PREFIX}*")) - before) == 1
        first = service.create("A-1").json()
        # Stripe has forgotten the key: a worker without the record would create another.
        sandbox.advance(25 * 3600)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: service.create("A-1").json(), range(24)))
    assert {answer["payment_intent_id"] for answer in answers} == {first["payment_intent_id"]}
    assert sandbox.state().payment_intents == 1


def test_orders_of_a_single_worker_survive_it(sandbox: SandboxProcess, base: Path) -> None:
    """The master replaces it at its death and at SIGHUP, and adds another at SIGTTIN."""
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}) as service:
        first = service.create("A-1").json()
        sandbox.advance(25 * 3600)
        victim = service.kill_a_worker()
        until(lambda: service.workers() not in ([], [victim]))
        again = service.create("A-1").json()
    assert again["payment_intent_id"] == first["payment_intent_id"]
    assert sandbox.state().payment_intents == 1


def test_next_start_removes_a_killed_services_memory(base: Path) -> None:
    left = base / f"{PREFIX}killed"
    left.mkdir()
    (left / LOCK).touch()
    os.utime(left, (0, 0))
    _shared_directory_elsewhere()
    assert not left.exists()


def test_memory_of_a_running_service_is_kept(base: Path) -> None:
    os.utime(shared_directory(), (0, 0))
    _shared_directory_elsewhere()
    assert shared_directory().exists()


def test_hanging_orders_delay_no_other_order(sandbox: SandboxProcess) -> None:
    sandbox.faults(
        [{"kind": "hang", "seconds": 4, "executes": False, "count": None,
          "match": {"method": "POST", "order_id": "hung-"}}]
    )  # fmt: skip
    settings = {"MAX_IN_FLIGHT": str(HUNG + 1), "WEB_CONCURRENCY": "1",
                "REQUEST_BUDGET_SECONDS": "4"}  # fmt: skip
    with ServiceProcess(sandbox.url, settings) as service, ThreadPoolExecutor(HUNG + 1) as threads:
        hung = [threads.submit(service.create, f"hung-{n}") for n in range(HUNG)]
        _wait_until_fired(sandbox, "hang", HUNG)
        assert _seconds(lambda: service.create("A-1").status_code == 200) < 1
        assert _seconds(lambda: service.get("/healthz").status_code == 200) < 1
        one_more = threads.submit(service.create, "hung-last")
        _wait_until_fired(sandbox, "hang", HUNG + 1)
        # All slots are busy: a reserve thread rejects the request at once.
        refused = service.create("A-2")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert service.get("/healthz").status_code == 200
        assert {each.result().status_code for each in [*hung, one_more]} == {503}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells")
def test_one_worker_per_core_is_pinned_to_it(sandbox: SandboxProcess) -> None:
    cores = os.sched_getaffinity(0)
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": str(len(cores))}) as service:
        # A replacement worker takes the core of the dead one.
        killed = service.kill_a_worker()
        patience = time.monotonic() + 20
        used: list[set[int]] = []
        while sorted(used, key=min) != [{core} for core in sorted(cores)]:
            assert time.monotonic() < patience, used
            time.sleep(0.1)
            used = [os.sched_getaffinity(pid) for pid in service.workers() if pid != killed]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells")
def test_other_worker_counts_are_not_pinned(sandbox: SandboxProcess) -> None:
    cores = os.sched_getaffinity(0)
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": str(len(cores) + 1)}) as service:
        assert all(os.sched_getaffinity(pid) == cores for pid in service.workers())


def test_death_of_the_master_frees_its_port(sandbox: SandboxProcess) -> None:
    """Even while a client stays connected to an orphaned worker."""
    with ServiceProcess(sandbox.url, {"REQUEST_BUDGET_SECONDS": "5"}) as service:
        sandbox.faults([{"kind": "slow", "seconds": 3}])
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(service.create, "M-1")
            _wait_until_fired(sandbox, "slow", 1)
            left_over = service.kill_the_master()
            service.start()
            assert asked.result().status_code == 200
        psutil.wait_procs([psutil.Process(pid) for pid in left_over if psutil.pid_exists(pid)], 10)
        assert not any(psutil.pid_exists(pid) for pid in left_over)
        assert len(service.workers()) == 2
        assert service.create("M-2").status_code == 200


def _shared_directory_elsewhere() -> None:
    """Create a shared directory in another process, and remove it."""
    make = (
        "import shutil; from payment_service.key_store.shared_directory import shared_directory;"
        "shutil.rmtree(shared_directory())"
    )
    subprocess.run([sys.executable, "-c", make], cwd=ROOT, check=True)


def _wait_until_fired(sandbox: SandboxProcess, kind: str, count: int) -> None:
    patience = time.monotonic() + 3
    while sandbox.fired().get(kind, 0) < count:
        assert time.monotonic() < patience
        time.sleep(0.02)


def _seconds(ask: object) -> float:
    began = time.monotonic()
    assert callable(ask)
    assert ask()
    return time.monotonic() - began


@pytest.mark.parametrize("header", ["SCRIPT_NAME: /healthz", "X-Forwarded-Proto: https"])
def test_no_header_changes_the_route(sandbox: SandboxProcess, header: str) -> None:
    """By default, gunicorn allows this for every caller on the same machine."""
    asked = f"GET /healthz HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n"
    with (
        ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=10) as client,
    ):
        client.sendall(asked.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
