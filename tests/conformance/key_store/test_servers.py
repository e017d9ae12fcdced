"""A database server that restarts, dies, freezes or starts late."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from payment_service.key_store import KeyStore
from payment_service.key_store.contract import StoreUnavailable
from tests.support.key_stores import NOW, SERVERS, Place, order, record
from tests.support.servers import Server

pytestmark = pytest.mark.parametrize("place", SERVERS, indirect=True)

# Allowance for a busy machine on top of a time-out.
SLACK_SECONDS = 1.0


def fails_within(seconds: float, store: KeyStore) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store.claim(record("never"))
    assert time.monotonic() - began < seconds + SLACK_SECONDS


def use_connections(store: KeyStore, count: int) -> None:
    """Open several connections, as a service under load does."""
    barrier = threading.Barrier(count)

    def read(number: int) -> None:
        barrier.wait(10)
        for _ in range(5):
            store.read(order(f"{number}"))

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(read, range(count)))


def test_restart_between_calls_is_not_noticed(store: KeyStore, server: Server) -> None:
    store.claim(record(due_at=NOW))
    use_connections(store, 6)
    server.restart()
    held = store.read(order())
    assert held == record(due_at=NOW)
    assert store.replace(held, replace(held, version=2, state="created"))
    use_connections(store, 6)
    assert store.claim(record("A-2", due_at=NOW)).owner == "first"
    assert [each.version for each in store.due(NOW, 10)] == [2, 1]


def test_acknowledged_writes_survive_a_kill(store: KeyStore, server: Server) -> None:
    for number in range(50):
        store.claim(record(f"A-{number}"))
    server.kill()
    server.start()
    assert len(list(store.scan())) == 50


def test_server_that_is_down_is_reported_in_time(place: Place, server: Server) -> None:
    store = place.open(timeout_seconds=0.4)
    store.claim(record())
    server.kill()
    fails_within(0.4, store)
    for use in (
        store.ping,
        lambda: store.read(order()),
        lambda: store.replace(record(), replace(record(), version=2)),
        lambda: store.forget(record()),
        lambda: store.due(NOW, 1),
        lambda: next(store.scan()),
    ):
        with pytest.raises(StoreUnavailable):
            use()
    server.start()
    assert store.read(order()) == record()
    store.close()


def test_server_may_start_after_the_service(place: Place, server: Server) -> None:
    server.stop()
    store = place.open(timeout_seconds=0.4)
    fails_within(0.4, store)
    server.start()
    assert store.claim(record()) == record()
    store.ping()
    store.close()


def test_frozen_server_times_out(place: Place, server: Server) -> None:
    store = place.open(timeout_seconds=0.4)
    store.ping()
    server.freeze()
    try:
        fails_within(0.4, store)
        fails_within(0.4, store)
    finally:
        server.thaw()
    store.claim(record())
    store.close()
