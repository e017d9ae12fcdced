"""A server that restarts, dies, stands still, is not there yet, or has lost its data."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from payment_service.key_store import KeyStore
from payment_service.key_store.contract import StoreUnavailable
from tests.support.key_stores import NOW, SERVERS, Place, order, record, use_connections
from tests.support.servers import Server

pytestmark = pytest.mark.parametrize("place", SERVERS, indirect=True)

# Tolerance for time-outs on a busy machine.
SLACK_SECONDS = 1.0


def fails_within(seconds: float, store: KeyStore) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store.claim(record("never"))
    assert time.monotonic() - began < seconds + SLACK_SECONDS


def test_a_restart_between_calls_is_not_noticed(store: KeyStore, server: Server) -> None:
    store.claim(record(due_at=NOW))
    use_connections(store, 6)
    server.restart()
    held = store.read(order())
    assert held == record(due_at=NOW)
    assert store.replace(held, replace(held, version=2, state="created"))
    use_connections(store, 6)
    assert store.claim(record("A-2", due_at=NOW)).owner == "first"
    assert [each.version for each in store.due(NOW, 10)] == [2, 1]


def test_acknowledged_writes_survive_a_kill_of_the_server(store: KeyStore, server: Server) -> None:
    for number in range(50):
        store.claim(record(f"A-{number}"))
    server.kill()
    server.start()
    assert len(list(store.scan())) == 50


def test_a_server_that_is_down_is_reported_in_time(place: Place, server: Server) -> None:
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


def test_a_server_that_is_down_at_the_start_can_come_later(place: Place, server: Server) -> None:
    server.stop()
    store = place.open(timeout_seconds=0.4)
    fails_within(0.4, store)
    server.start()
    assert store.claim(record()) == record()
    store.ping()
    store.close()


def test_a_server_that_stands_still_is_not_waited_for(place: Place, server: Server) -> None:
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
