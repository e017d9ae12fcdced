"""Moments that a race meets by luck only, held still: PostgreSQL says who waits for whom."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, cycle
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import errors

from payment_service.key_store import KeyStore, open_key_store
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.key_store.order_key import order_key
from payment_service.key_store.postgres.pool import PostgresPool
from payment_service.key_store.postgres.schema import migrate
from payment_service.key_store.row import as_row
from payment_service.key_store.statements import statement
from tests.support.key_stores import order, record, switch_read_only, use_connections, uses
from tests.support.servers import Postgres

ISOLATIONS = ("read committed", "repeatable read", "serializable")

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


class Rollback(Exception):
    """Undo the transaction."""


@pytest.fixture(params=ISOLATIONS)
def url(request: pytest.FixtureRequest, postgres_server: Postgres) -> str:
    """Each may be a database's default."""
    isolation = request.param.replace(" ", "%5C%20")
    setting = f"%20-c%20default_transaction_isolation%3D{isolation}"
    return postgres_server.new_url() + setting


@pytest.fixture
def store(url: str) -> Iterator[KeyStore]:
    opened = open_key_store(url, timeout_seconds=20)
    yield opened
    opened.close()


@contextmanager
def transaction(url: str) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Another process' statements, committed together at the end."""
    with psycopg.connect(url) as connection:

        def run(name: str, values: dict[str, Any]) -> None:
            connection.execute(statement("postgres", f"{name}.sql").encode(), values)

        yield run


def row(of: KeyRecord) -> dict[str, Any]:
    return as_row(of) | {"key": order_key(of.order).encode()}


def until_somebody_waits(server: Postgres, waiting: Future[Any]) -> None:
    end = time.monotonic() + 20
    while server.run(WAITING) == [(0,)]:
        assert not waiting.done(), waiting.result()
        assert time.monotonic() < end


def test_a_claim_that_another_has_just_made_is_given_that_one(
    url: str, store: KeyStore, postgres_server: Postgres
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with transaction(url) as run:
            run("claim", row(record(owner="other")))
            mine = pool.submit(store.claim, record(owner="mine"))
            until_somebody_waits(postgres_server, mine)
        assert mine.result(20) == record(owner="other")
    assert store.read(order()) == record(owner="other")


def test_a_claim_that_another_takes_back_is_mine(
    url: str, store: KeyStore, postgres_server: Postgres
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with suppress(Rollback), transaction(url) as run:
            run("claim", row(record(owner="other")))
            mine = pool.submit(store.claim, record(owner="mine"))
            until_somebody_waits(postgres_server, mine)
            raise Rollback
        assert mine.result(20) == record(owner="mine")


def test_a_version_that_another_has_just_replaced_is_not_replaced(
    url: str, store: KeyStore, postgres_server: Postgres
) -> None:
    held = store.claim(record())
    theirs = replace(held, version=2, owner="other")
    fence = {"current_owner": held.owner, "current_version": held.version}
    with ThreadPoolExecutor(1) as pool:
        with transaction(url) as run:
            run("replace", row(theirs) | fence)
            mine = pool.submit(store.replace, held, replace(held, version=2, owner="mine"))
            until_somebody_waits(postgres_server, mine)
        assert mine.result(20) is False
    assert store.read(order()) == theirs


def test_a_locked_row_delays_no_other_order(url: str, postgres_server: Postgres) -> None:
    store = open_key_store(url, timeout_seconds=2)
    held = [store.claim(record(f"A-{number}")) for number in range(30)]
    with psycopg.connect(url) as other, ThreadPoolExecutor(30) as pool:
        key = order_key(held[0].order).encode()
        other.execute("SELECT 1 FROM key_records WHERE key = %s FOR UPDATE", (key,))
        done = [pool.submit(store.replace, each, replace(each, version=2)) for each in held]
        assert all(each.result(20) for each in done[1:])
        assert isinstance(done[0].exception(20), StoreUnavailable)
    store.close()


def test_a_slow_claim_delays_no_later_claim(
    url: str, store: KeyStore, postgres_server: Postgres
) -> None:
    with ThreadPoolExecutor(30) as pool:
        with suppress(Rollback), transaction(url) as run:
            run("claim", row(record(owner="other")))
            mine = pool.submit(store.claim, record(owner="mine"))
            until_somebody_waits(postgres_server, mine)
            others = [pool.submit(store.claim, record(f"B-{number}")) for number in range(29)]
            assert all(each.result(20).owner == "first" for each in others)
            assert not mine.done()
            raise Rollback
        assert mine.result(20).owner == "mine"


def test_a_write_that_postgresql_rejects_fails_alone(url: str, store: KeyStore) -> None:
    with ThreadPoolExecutor(30) as pool:
        bad = [pool.submit(store.claim, record("bad", params="\0")) for _ in range(10)]
        good = [pool.submit(store.claim, record(f"B-{number}")) for number in range(20)]
        assert {type(each.exception(20)) for each in bad} == {StoreUnavailable}
        assert {each.result(20).order.order_id for each in good} == {f"B-{n}" for n in range(20)}


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("list_client", "key_records_by_client"),
        ("list_mode", "key_records_by_mode"),
        ("list_alarms", "key_records_alarm"),
        ("unlisted", "key_records_unlisted"),
    ],
)
def test_a_page_is_read_from_its_index(store: KeyStore, url: str, name: str, index: str) -> None:
    store.ping()
    numbers = count(1)
    text = statement("postgres", f"{name}.sql")
    sql = re.sub(r"%\(\w+\)s", lambda _: f"${next(numbers)}", text)
    with psycopg.connect(url) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute("SET enable_seqscan = off")
        plan = str(connection.execute(f"EXPLAIN (GENERIC_PLAN) {sql}".encode()).fetchall())
    assert f"using {index}" in plan or f"on {index}" in plan
    assert "Seq Scan" not in plan


def test_a_batch_looks_keys_up_however_small_the_table_was(url: str, store: KeyStore) -> None:
    """A plan for a hundred unknown rows would read the whole table, ever after."""
    store.ping()
    with psycopg.connect(url) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        sql = statement("postgres", "write_together.sql")
        sql = sql.replace("%(claims)s", "$1").replace("%(replacements)s", "$2")
        plan = str(connection.execute(f"EXPLAIN (GENERIC_PLAN) {sql}".encode()).fetchall())
        assert plan.count("Index Scan using key_records_pkey") == 3
        assert "Seq Scan" not in plan


def test_a_concurrent_migration_waits_and_succeeds(url: str, postgres_server: Postgres) -> None:
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(url) as first:
            first.execute(statement("postgres", "versions.sql").encode())
            second = pool.submit(open_key_store, url, timeout_seconds=20)
            until_somebody_waits(postgres_server, second)
        opened = second.result(20)
    assert opened.claim(record()) == record()
    opened.close()


def test_a_migration_may_take_longer_than_an_operation(
    postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres_server.new_database("UTF8")
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("versions", "schema_1"):
            connection.execute(statement("postgres", f"{name}.sql").encode())
        connection.execute("INSERT INTO key_store_versions VALUES (1)")
        connection.execute(
            "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql "
            "AS 'BEGIN PERFORM pg_sleep(0.4); END'"
        )
        connection.execute("CREATE EVENT TRIGGER slow ON ddl_command_start EXECUTE FUNCTION slow()")
    opened = open_key_store(url, timeout_seconds=1)
    assert opened.claim(record()) == record()
    assert "the key store failed" not in caplog.text
    opened.close()


class Pooled:
    """As PgBouncer in transaction mode: each statement goes to the next session."""

    def __init__(self, sessions: Sequence[psycopg.Connection[Any]]) -> None:
        self._sessions = cycle(sessions)

    def execute(self, *statement: Any) -> Any:
        return next(self._sessions).execute(*statement)


def test_making_the_tables_leaves_no_lock_in_a_session_of_a_pooler(
    url: str, postgres_server: Postgres
) -> None:
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    with (
        psycopg.connect(url, autocommit=True) as one,
        psycopg.connect(url, autocommit=True) as two,
        psycopg.connect(url, autocommit=True) as three,
    ):
        migrate(Pooled((one, two, three)))  # type: ignore[arg-type]
        assert postgres_server.run(locks) == [(0,)]


def test_a_role_that_may_not_make_the_tables_keeps_no_lock(postgres_server: Postgres) -> None:
    url = postgres_server.new_url()
    postgres_server.run("CREATE ROLE reader LOGIN")
    store = open_key_store(url.replace("postgres:secret-word", "reader"), timeout_seconds=20)
    with pytest.raises(StoreUnavailable):
        store.ping()
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert postgres_server.run(locks) == [(0,)]
    store.close()


def test_two_processes_that_claim_the_same_orders_do_not_wait_for_each_other(
    postgres_server: Postgres,
) -> None:
    """PostgreSQL ends such a wait after a second, by undoing one of the two statements."""
    orders, rounds = 30, 150
    url = postgres_server.new_url()
    stores = [open_key_store(url, timeout_seconds=20) for _ in range(2)]
    deadlocks = "SELECT sum(deadlocks) FROM pg_stat_database"
    before = postgres_server.run(deadlocks)
    shuffle = random.Random(7)
    with ThreadPoolExecutor(2 * orders) as pool:
        for taken in range(rounds):
            turns = [shuffle.sample(range(orders), orders) for _ in stores]
            claims = [
                (
                    number,
                    pool.submit(store.claim, record(f"{taken}-{number}", owner=str(id(store)))),
                )
                for both in zip(*turns, strict=True)
                for store, number in zip(stores, both, strict=True)
            ]
            owners = {(number, claim.result(20).owner) for number, claim in claims}
            assert len(owners) == orders
    assert postgres_server.run(deadlocks) == before
    for store in stores:
        store.close()


def test_a_server_that_becomes_read_only_refuses_until_it_is_writable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first request after that must succeed: no read-only session may stay in the pool."""
    with Postgres() as server:
        store = open_key_store(server.url(), timeout_seconds=5)
        use_connections(store, 6)
        switch_read_only(server, "on")
        for use in uses(store)[:2]:
            with pytest.raises(StoreUnavailable) as caught:
                use()
            assert caught.value.cause == "read_only"
        assert len([line for line in caplog.messages if "session is read-only" in line]) == 1
        switch_read_only(server, "off")
        use_connections(store, 6)
        assert store.claim(record()) == record()
        store.close()


def test_sessions_of_a_role_that_was_read_only_are_not_kept(postgres_server: Postgres) -> None:
    postgres_server.run("CREATE ROLE moved LOGIN SUPERUSER")
    url = postgres_server.new_url().replace("postgres:secret-word", "moved")
    open_key_store(url, timeout_seconds=20).close()
    postgres_server.run("ALTER ROLE moved SET default_transaction_read_only = on")
    store = open_key_store(url, timeout_seconds=20)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.claim(record())
    postgres_server.run("ALTER ROLE moved RESET default_transaction_read_only")
    use_connections(store, 6)
    assert store.claim(record()) == record()
    store.close()


def test_a_write_that_a_read_only_session_rejects_drains_the_pool(
    postgres_server: Postgres,
) -> None:
    """A proxy or an ex-primary can keep connections open that no longer may write."""
    pool = PostgresPool(postgres_server.new_url(), 20)
    give_up_at = time.monotonic() + 20
    with ExitStack() as lent:
        for _ in range(6):
            held = lent.enter_context(pool.connection(give_up_at))
            held.execute("SET default_transaction_read_only = on")
    with pytest.raises(errors.ReadOnlySqlTransaction), pool.connection(give_up_at) as connection:
        connection.execute("CREATE TABLE any_table ()")
    with ExitStack() as lent:
        for _ in range(6):
            held = lent.enter_context(pool.connection(give_up_at))
            assert held.execute("SHOW transaction_read_only").fetchone() == ("off",)
    pool.close()
