"""The memory store when it is full."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace

from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.key_store.memory import KEEP_SECONDS, MemoryStore
from tests.support.key_stores import NOW, order, record


def finished(store: MemoryStore, name: str, at: float, due_at: float | None = None) -> KeyRecord:
    held = store.claim(record(name))
    done = replace(held, version=2, state="created", updated_at=at, due_at=due_at)
    assert store.replace(held, done)
    return done


def test_a_full_store_drops_the_oldest_order_that_is_finished() -> None:
    store = MemoryStore(max_orders=3)
    pending = store.claim(record("A-1"))
    undelivered = finished(store, "A-2", NOW, due_at=NOW)
    finished(store, "A-3", NOW)
    newest = store.claim(record("A-4"))
    assert list(store.scan()) == [pending, undelivered, newest]


def test_dropping_an_order_younger_than_90_days_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    store = MemoryStore(max_orders=1)
    finished(store, "A-1", NOW)
    store.claim(record("A-2", updated_at=NOW + KEEP_SECONDS - 1))
    assert "90 days" in caplog.text


def test_dropping_an_older_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(max_orders=1)
    finished(store, "A-1", NOW)
    store.claim(record("A-2", updated_at=NOW + KEEP_SECONDS))
    assert caplog.text == ""


def test_a_store_full_of_unfinished_orders_takes_no_more() -> None:
    store = MemoryStore(max_orders=1)
    held = store.claim(record("A-1"))
    with pytest.raises(StoreUnavailable):
        store.claim(record("A-2"))
    assert store.claim(record("A-1", owner="second")) == held
    assert store.read(order("A-2")) is None
