"""The service under gunicorn with nothing but its settings: memory shared, Stripe hanging."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop_listener import until

HUNG = 60


def test_the_workers_of_a_memory_store_know_each_other_s_orders(sandbox: SandboxProcess) -> None:
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "2"}) as service:
        memory = service.memory_directory()
        assert memory.is_dir()
        first = service.create("A-1").json()
        # Stripe has forgotten the key: a worker that knew nothing would make another.
        sandbox.advance(25 * 3600)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: service.create("A-1").json(), range(24)))
    assert {answer["payment_intent_id"] for answer in answers} == {first["payment_intent_id"]}
    assert sandbox.state().payment_intents == 1
    assert not memory.exists()


def test_a_single_worker_s_orders_outlive_it(sandbox: SandboxProcess) -> None:
    """It is replaced when it dies and at SIGHUP, and joined by another at SIGTTIN."""
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}) as service:
        memory = service.memory_directory()
        first = service.create("A-1").json()
        sandbox.advance(25 * 3600)
        victim = service.kill_a_worker()
        until(lambda: service.workers() not in ([], [victim]))
        again = service.create("A-1").json()
    assert again["payment_intent_id"] == first["payment_intent_id"]
    assert sandbox.state().payment_intents == 1
    assert not memory.exists()


@pytest.mark.alone
def test_hung_orders_stop_no_other_one(sandbox: SandboxProcess) -> None:
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
        # No place is left: said at once, in a thread of the reserve.
        refused = service.create("A-2")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert service.get("/healthz").status_code == 200
        assert {each.result().status_code for each in [*hung, one_more]} == {503}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells")
def test_a_worker_for_each_core_keeps_to_it(sandbox: SandboxProcess) -> None:
    cores = os.sched_getaffinity(0)
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": str(len(cores))}) as service:
        # A worker that is replaced takes the place of the one that died.
        killed = service.kill_a_worker()
        patience = time.monotonic() + 20
        used: list[set[int]] = []
        while sorted(used, key=min) != [{core} for core in sorted(cores)]:
            assert time.monotonic() < patience, used
            time.sleep(0.1)
            used = [os.sched_getaffinity(pid) for pid in service.workers() if pid != killed]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells")
def test_other_numbers_of_workers_are_left_to_the_kernel(sandbox: SandboxProcess) -> None:
    cores = os.sched_getaffinity(0)
    with ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": str(len(cores) + 1)}) as service:
        used = [os.sched_getaffinity(pid) for pid in service.workers()]
        assert used == [cores] * (len(cores) + 1)


def test_a_master_s_death_frees_its_port_for_the_next(sandbox: SandboxProcess) -> None:
    """Although a client stays connected to a worker that is left over."""
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
def test_no_header_changes_which_route_is_asked_for(sandbox: SandboxProcess, header: str) -> None:
    """gunicorn lets whoever is on this machine do it, unless told not to."""
    asked = f"GET /healthz HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n\r\n"
    with (
        ServiceProcess(sandbox.url, {"WEB_CONCURRENCY": "1"}) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=10) as client,
    ):
        client.sendall(asked.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_page_of_a_listed_origin_can_read_the_server_s_own_response(
    sandbox: SandboxProcess,
) -> None:
    """The head is too long for the server, so the application never sees the request."""
    origin = "https://shop.example"
    environ = {"WEB_CONCURRENCY": "1", "CORS_ORIGINS": origin}
    with ServiceProcess(sandbox.url, environ) as service:
        headers = {"Origin": origin, "Cookie": "x" * 9000}
        refused = requests.get(f"{service.url}/config", headers=headers, timeout=10)
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")
        assert refused.headers["Access-Control-Allow-Origin"] == origin
        stranger = {"Origin": "https://evil.example", "Cookie": "x" * 9000}
        refused = requests.get(f"{service.url}/config", headers=stranger, timeout=10)
        assert "Access-Control-Allow-Origin" not in refused.headers
