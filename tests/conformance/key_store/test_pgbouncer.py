"""The PostgreSQL store behind PgBouncer in transaction mode, where clients share sessions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from payment_service.key_store import open_key_store, refuse_unusable
from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.postgres.session import BoundedConnection, prepare
from tests.support.key_stores import (
    NOW,
    TIMEOUT_SECONDS,
    order,
    record,
    switch_read_only,
    use_connections,
    uses,
)
from tests.support.pgbouncer import PgBouncer
from tests.support.servers import Postgres

# State that a client could leave behind for the session's next client.
SESSION = """
SELECT
    current_setting('statement_timeout'), current_setting('lock_timeout'),
    current_setting('idle_in_transaction_session_timeout'), current_setting('search_path'),
    current_setting('extra_float_digits'), current_setting('default_transaction_isolation'),
    (SELECT count(*) FROM pg_prepared_statements),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
    (SELECT count(*) FROM pg_listening_channels()),
    (SELECT count(*) FROM pg_cursors WHERE is_holdable)
"""


def run_all_operations(url: str, times: int) -> None:
    """Run every operation, more often than psycopg waits before it prepares a statement."""
    store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
    for number in range(times):
        held = store.claim(record(f"A-{number}", due_at=NOW))
        assert store.replace(held, newer := replace(held, version=2))
        assert store.read(held.order) == newer
        assert store.due(NOW, 1)
        assert list(store.scan())
        assert store.forget(newer)
        store.ping()
    store.close()


def test_other_clients_find_their_sessions_unchanged(pooler: PgBouncer) -> None:
    url = pooler.new_url()
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
        before = other.execute(SESSION).fetchone()
        run_all_operations(url, 12)
        for _ in range(6):
            assert other.execute(SESSION).fetchone() == before


def test_no_message_follows_the_end_of_a_transaction(pooler: PgBouncer, tmp_path: Path) -> None:
    """PgBouncer would give it a session, and no answer of the server would release that one."""
    trace = tmp_path / "trace"
    connection = BoundedConnection.connect(pooler.new_url(), autocommit=True, failed=print)
    prepare(connection, None, TIMEOUT_SECONDS)
    with connection, trace.open("w") as file:
        connection.pgconn.trace(file.fileno())
        assert connection.run(b"SELECT %(number)s::int", {"number": 7}).fetchone() == (7,)
        connection.pgconn.untrace()
    messages = [line.split("\t") for line in trace.read_text().splitlines()]
    sent = [message[3].strip() for message in messages if "F" in message[1:2]]
    assert sent[-1].startswith(("Query", "Sync"))


def test_slow_queries_of_other_clients_are_not_canceled(pooler: PgBouncer) -> None:
    url = pooler.new_url()
    store = open_key_store(url, timeout_seconds=0.1)
    store.claim(record())
    barrier = threading.Barrier(2)

    def slow(_: int) -> object:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
            barrier.wait(10)
            return other.execute("SELECT pg_sleep(0.3)").fetchone()

    with ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(slow, range(2)))) == 2
    store.close()


def test_many_stores_share_sessions_without_mixing_statements(pooler: PgBouncer) -> None:
    """Two clients that prepared other statements by the same name would run each other's."""
    url = pooler.new_url()
    stores = [open_key_store(url, timeout_seconds=20) for _ in range(4)]

    def work(number: int) -> None:
        store = stores[number % 4]
        for each in range(10):
            held = store.claim(record(f"{number}-{each}"))
            assert store.read(held.order) == held
            assert store.replace(held, replace(held, version=2))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert {each.version for each in stores[0].scan()} == {2}
    assert len(list(stores[0].scan())) == 160
    for store in stores:
        store.close()


def test_server_ends_a_statement_that_waits_for_a_lock(
    pooler: PgBouncer, postgres_server: Postgres
) -> None:
    url = pooler.new_url()
    store = open_key_store(url, timeout_seconds=0.5)
    held = store.claim(record())
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with psycopg.connect(url, prepare_threshold=None) as other:
        other.execute("SELECT 1 FROM key_records FOR UPDATE")
        with pytest.raises(StoreUnavailable) as caught:
            store.replace(held, replace(held, version=2))
        assert caught.value.cause == "timeout"
        while postgres_server.run(waiting) != [(0,)]:
            pass
    assert store.read(order()) == held
    store.close()


def test_server_that_was_read_only_serves_at_once_when_it_is_writable(
    pooler: PgBouncer, postgres_server: Postgres
) -> None:
    store = open_key_store(pooler.new_url(), timeout_seconds=TIMEOUT_SECONDS)
    use_connections(store, 6)
    switch_read_only(postgres_server, "on")
    try:
        for use in uses(store)[:2] * 3:
            with pytest.raises(StoreUnavailable) as caught:
                use()
            assert caught.value.cause == "read_only"
    finally:
        switch_read_only(postgres_server, "off")
    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(lambda number: store.claim(record(f"A-{number}")), range(12)))
    store.close()


def test_restart_of_the_pooler_is_not_noticed(pooler: PgBouncer) -> None:
    store = open_key_store(pooler.new_url(), timeout_seconds=TIMEOUT_SECONDS)
    held = store.claim(record())
    pooler.restart()
    assert store.read(order()) == held
    store.close()


def test_search_path_that_the_pooler_drops_is_refused(
    pooler: PgBouncer, postgres_server: Postgres
) -> None:
    """The service would find or make another, empty table there."""
    url = pooler.through(postgres_server.new_url())
    with pytest.raises(ValueError, match="ALTER ROLE"):
        refuse_unusable(url)
    store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(StoreUnavailable, match="ALTER ROLE") as caught:
        store.claim(record())
    assert caught.value.cause == "wrong_server"
    store.close()


def test_cause_of_a_server_behind_the_pooler_is_logged(
    pooler: PgBouncer, caplog: pytest.LogCaptureFixture
) -> None:
    """Later clients wait, until the pooler tries the server again."""
    open_key_store(f"{pooler.new_url()}_gone", timeout_seconds=TIMEOUT_SECONDS).close()
    (line,) = caplog.messages
    assert 'database "orders_' in line
    assert "does not exist" in line
