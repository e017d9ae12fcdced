"""Fixtures: the four stores, and the shared memory of several processes, all empty."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from payment_service.key_store import KeyStore, open_key_store, shared_memory_store
from payment_service.key_store.contract import KeyRecord, Order
from tests.support.pgbouncer import ABSENT, PROGRAM, PgBouncer
from tests.support.redis_cluster import RedisCluster, Sentinel
from tests.support.servers import QUICK_DISK, Postgres, Redis, Server

SERVERS = ("postgresql", "redis")
ASCII_SERVER = "postgresql-sql-ascii"
POOLED = "postgresql-behind-pgbouncer"
CLUSTER, SENTINEL = "redis-cluster", "redis-sentinel"
SHARED = ("sqlite", "shared-memory", *SERVERS)
STORES = ("memory", *SHARED)

# The same stores behind a pooler or on several servers.
DISTANT = (POOLED, CLUSTER, SENTINEL)
EVERYWHERE = (*STORES, ASCII_SERVER, *DISTANT)

# Long enough for two busy cores, and short enough for a test of the time-out.
TIMEOUT_SECONDS = 2.0

NOW = 1_800_000_000.0


@dataclass(frozen=True, slots=True)
class Place:
    """The location of a store's records, which any process can open."""

    name: str
    where: str

    def open(self, timeout_seconds: float = TIMEOUT_SECONDS) -> KeyStore:
        if self.name == "shared-memory":
            return shared_memory_store(self.where, timeout_seconds=timeout_seconds)
        return open_key_store(self.where, timeout_seconds=timeout_seconds)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def pooler(postgres_server: Postgres) -> Iterator[PgBouncer]:
    if PROGRAM is None:
        pytest.skip(ABSENT)
    with PgBouncer(postgres_server) as running:
        yield running


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as running:
        yield running


@pytest.fixture(scope="session")
def redis_sentinel() -> Iterator[Sentinel]:
    with Sentinel() as running:
        yield running


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A directory in memory, where a flush costs nothing."""
    with tempfile.TemporaryDirectory(prefix="key-store-", dir=QUICK_DISK) as directory:
        yield Path(directory)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Server:
    """The running server of `place`; a test may stop or kill it."""
    name = request.getfixturevalue("place").name
    found: Server = request.getfixturevalue(SERVER_FIXTURES[name])
    return found


SERVER_FIXTURES = {"postgresql": "postgres_server", "redis": "redis_server"}
DISTANT_FIXTURES = {POOLED: "pooler", CLUSTER: "redis_cluster", SENTINEL: "redis_sentinel"}


@pytest.fixture
def place(request: pytest.FixtureRequest, quick_path: Path) -> Iterator[Place]:
    """An empty place of the store that the test's parameter names."""
    name = request.param
    if name == ASCII_SERVER:
        ascii_server: Postgres = request.getfixturevalue("postgres_server")
        yield Place(name, ascii_server.new_database("SQL_ASCII"))
        return
    if name in DISTANT_FIXTURES:
        yield Place(name, request.getfixturevalue(DISTANT_FIXTURES[name]).new_url())
        return
    if name not in SERVERS:
        where = {"memory": "memory://", "shared-memory": str(quick_path / "shared.db")}
        yield Place(name, where.get(name, f"sqlite:///{quick_path / 'keys.db'}"))
        return
    server: Server = request.getfixturevalue(SERVER_FIXTURES[name])
    yield Place(name, server.new_url())
    if not server.running:
        server.start()


@pytest.fixture
def store(place: Place) -> Iterator[KeyStore]:
    opened = place.open()
    yield opened
    opened.close()


def order(order_id: str = "A-1", client_id: str | None = None, livemode: bool = False) -> Order:
    return Order(livemode, client_id, order_id)


def record(of: Order | str = "A-1", owner: str = "first", **more: Any) -> KeyRecord:
    """Return a first claim at NOW."""
    named = of if isinstance(of, Order) else order(of)
    values: dict[str, Any] = {
        "attempt": 1,
        "fingerprint": "f" * 64,
        "params": '{"amount": 1099}',
        "state": "pending",
        "locked_until": NOW + 35,
        "first_sent_at": NOW,
        "updated_at": NOW,
    }
    return KeyRecord(order=named, owner=owner, **(values | more))


def use_connections(store: KeyStore, count: int) -> None:
    """Have several connections open, as a service under load has."""
    barrier = threading.Barrier(count)

    def read(number: int) -> None:
        barrier.wait(10)
        for _ in range(5):
            store.read(order(f"{number}"))

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(read, range(count)))


def uses(store: KeyStore) -> list[Callable[[], object]]:
    """Return a ping, a write and a read."""
    return [store.ping, lambda: store.claim(record()), lambda: store.read(order())]


def switch_read_only(server: Postgres, value: str) -> None:
    """Set default_transaction_read_only to on or off, and wait until a session has it."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")
        end = time.monotonic() + 20
        while (
            connection.pgconn.parameter_status(b"default_transaction_read_only") != value.encode()
        ):
            assert time.monotonic() < end
            connection.execute("SELECT 1")
        # The server signals its sessions one after the other, and ours may not be the last.
        time.sleep(0.3)
