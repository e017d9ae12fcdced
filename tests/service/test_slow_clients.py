"""Thousands of slow clients, at the default settings: orders are answered meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess

SILENT, DRIBBLING = 2000, 500

# Longer than a request may take to arrive, so that the first clients are closed and come again.
SECONDS = 12.0

HEAD = b"POST /create-payment-intent HTTP/1.1\r\nHost: x\r\nX-Slow: "


@contextmanager
def crowd(port: int, number: int, first: bytes, each_second: bytes) -> Iterator[list[int]]:
    """Hold `number` connections that send so much; reopen each when it is closed.

    The yielded list has the number of connections that were open each second.
    """
    ended, held = threading.Event(), list[int]()

    def hold() -> None:
        clients = list[socket.socket]()
        while not ended.is_set():
            began = time.monotonic()
            clients = [each for each in clients if _goes_on(each, each_second)]
            while len(clients) < number and not ended.is_set():
                with suppress(OSError):
                    client = socket.create_connection(("127.0.0.1", port), timeout=5)
                    client.setblocking(False)
                    client.send(first)
                    clients.append(client)
            held.append(len(clients))
            ended.wait(max(0.0, 1 - (time.monotonic() - began)))
        for each in clients:
            each.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield held
    finally:
        ended.set()
        thread.join()


def _goes_on(client: socket.socket, more: bytes) -> bool:
    """Send more; whether the connection is still open."""
    try:
        client.send(more)
        is_open = bool(client.recv(1024))
    except BlockingIOError:
        return True
    except OSError:
        is_open = False
    if not is_open:
        client.close()
    return is_open


@pytest.mark.alone
def test_orders_are_answered_among_2500_slow_clients(sandbox: SandboxProcess) -> None:
    with (
        ServiceProcess(sandbox.url) as service,
        crowd(service.port, SILENT, b"", b"") as silent,
        crowd(service.port, DRIBBLING, HEAD, b"x") as dribbling,
    ):
        while not (silent and dribbling):
            time.sleep(0.1)
        healthz, orders = list[float](), list[float]()
        ends_at = time.monotonic() + SECONDS
        while time.monotonic() < ends_at:
            answer = service.get("/healthz")
            assert answer.status_code == 200
            healthz.append(answer.elapsed.total_seconds())
            answer = service.create(f"A-{len(orders)}")
            assert answer.status_code == 200
            orders.append(answer.elapsed.total_seconds())
            time.sleep(0.2)
        # Both crowds were complete all the time.
        assert set(silent[:-1]) == {SILENT}
        assert set(dribbling[:-1]) == {DRIBBLING}
    print(f"healthz at most {max(healthz):.3f} s, orders at most {max(orders):.3f} s")
    assert max(healthz) < 1
    assert max(orders) < 2
    assert sandbox.state().payable == len(orders)
