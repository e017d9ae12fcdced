"""What an order costs in each store, and whether that depends on how many are stored.

    python -m benchmarks.store_cost [--orders 1000000] [--stores sqlite,redis]

An order is what the service writes for one: a claim, then the replace that records its
PaymentIntent. Order numbers are random texts, so that each lands anywhere in an index. Times are
medians of 1,000 orders, one after the other; CPU is this process's, the server's not included.
Bytes are what all the orders take, divided by how many there are. What is stored before is written
by the service's code, or, in SQLite and PostgreSQL, multiplied from one order of it by SQL.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from key_store import KeyStore, open_key_store, shared_memory_store
from key_store.contract import Order
from key_store.memory import MemoryStore
from payment import claims
from payment.idempotency import SentParams
from payment.intents import Intent
from tests.servers import Postgres, Redis

FEW, MEASURED = 1_000, 1_000
NOW = 1_800_000_000.0

# Orders that one statement adds.
CHUNK = 500_000

_COPIED = """
    attempt, fingerprint, replace(params, order_name(0), order_name(i)), state, owner, locked_until,
    first_sent_at, updated_at, version, saved_5xx, intent_name(i), payment_status,
    replace(follow_up, intent_name(0), intent_name(i)), due_at
"""

MULTIPLY_IN_SQLITE = f"""
WITH RECURSIVE numbers(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM numbers WHERE i < ?)
INSERT INTO key_records
SELECT replace(key, order_name(0), order_name(i)), {_COPIED}
FROM key_records, numbers WHERE key = 'test:6:shop-7:' || order_name(0)
"""

MULTIPLY_IN_POSTGRES = f"""
INSERT INTO key_records
SELECT convert_to('test:6:shop-7:' || order_name(i), 'UTF8'), {_COPIED}
FROM key_records, generate_series({{}}::bigint, {{}}::bigint) i
WHERE key = convert_to('test:6:shop-7:' || order_name(0), 'UTF8')
"""

NAMES_IN_POSTGRES = """
CREATE FUNCTION order_name(bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT 'ORDER-' || md5($1::text) $$;
CREATE FUNCTION intent_name(bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT 'pi_3Q' || lpad($1::text, 22, '0') $$
"""

# Threads that fill a server: while one waits for it another prepares. SQLite's writers take turns.
SERVER_THREADS = 4


@dataclass(frozen=True, slots=True)
class Bench:
    """A store with its promises kept, the same one in a hurry, and what it takes altogether."""

    store: KeyStore
    hurried: KeyStore
    bytes_taken: Callable[[], int]
    hurry: Callable[[bool], object] = bool
    filling_threads: int = 1
    multiply: Callable[[int, int], object] | None = None
    """Add the orders from one number up to another, as copies of order 0."""


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_us: float
    wall_us: float


def order_name(number: int) -> str:
    """Return an order's number, in a shop that does not count them."""
    return "ORDER-" + hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def intent_name(number: int) -> str:
    """Return the id of its PaymentIntent."""
    return f"pi_3Q{number:022d}"


def take_order(store: KeyStore, number: int) -> None:
    """Claim and finish, as the service does."""
    order_id = order_name(number)
    params = {
        "amount": 1099,
        "currency": "usd",
        "automatic_payment_methods": {"enabled": True},
        "description": "2 bags of espresso beans, 1 kg",
        "receipt_email": "shopper@example.com",
        "metadata": {"order_id": order_id, "client_id": "shop-7", "basket": "b-81235"},
    }
    wanted = claims.Wanted(
        Order(livemode=False, client_id="shop-7", order_id=order_id),
        "0123456789abcdef" * 4,
        SentParams("2026-10-28.endive", params).text(),
    )
    mine = claims.first_claim(wanted, claims.Lease(uuid4().hex, NOW, 35.0))
    held = store.claim(mine)
    assert held.owner == mine.owner
    assert store.replace(held, claims.created(held, intent(number), NOW + 0.3))


def intent(number: int) -> Intent:
    return Intent(intent_name(number), "", "requires_payment_method", 1099, "usd", int(NOW), {}, {})


def measure(stores: tuple[KeyStore, ...], first: int) -> list[Cost]:
    """Take turns, an order each, so that what the machine does beside this falls on all alike."""
    spent: list[list[tuple[float, float]]] = [[] for _ in stores]
    for number in range(first, first + MEASURED):
        for store, costs in zip(stores, spent, strict=True):
            cpu, wall = time.process_time(), time.perf_counter()
            take_order(store, number)
            costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    return [Cost(*(statistics.median(each) * 1e6 for each in zip(*c, strict=True))) for c in spent]


def fill(bench: Bench, first: int, end: int) -> None:
    if bench.multiply and first:
        bench.multiply(first, end)
        return

    def share(start: int) -> None:
        for number in range(start, end, bench.filling_threads):
            take_order(bench.hurried, number)

    bench.hurry(True)
    with ThreadPoolExecutor(bench.filling_threads) as pool:
        list(pool.map(share, range(first, first + bench.filling_threads)))
    bench.hurry(False)


@contextmanager
def memory(orders: int) -> Iterator[Bench]:
    store = MemoryStore(orders + 10 * MEASURED)
    before = resident_bytes()
    yield Bench(store, store, lambda: resident_bytes() - before)


@contextmanager
def sqlite(_: int, durable: bool = True) -> Iterator[Bench]:
    directory = tempfile.mkdtemp()
    path = f"{directory}/keys.db"
    hurried = shared_memory_store(path, timeout_seconds=60)
    store = open_key_store(f"sqlite:///{path}", timeout_seconds=60) if durable else hurried
    taken = partial(_bytes_in, Path(directory))
    yield Bench(store, hurried, taken, multiply=partial(_multiply_in_sqlite, path))
    store.close()
    hurried.close()
    shutil.rmtree(directory)


@contextmanager
def postgresql(_: int) -> Iterator[Bench]:
    with Postgres("shared_buffers=256MB", "max_wal_size=4GB", disk=None) as server:
        store = open_key_store(server.url(), timeout_seconds=60)
        server.run(NAMES_IN_POSTGRES)
        hurry = "?options=-c%20synchronous_commit%3Doff"
        hurried = open_key_store(server.url() + hurry, timeout_seconds=60)
        size = "SELECT pg_total_relation_size('key_records')"

        def taken() -> int:
            return int(str(server.run(size)[0][0]))

        def multiply(first: int, end: int) -> None:
            for start in range(first, end, CHUNK):
                server.run(MULTIPLY_IN_POSTGRES.format(start, min(start + CHUNK, end) - 1))
            server.run("VACUUM ANALYZE key_records")
            server.run("CHECKPOINT")

        yield Bench(store, hurried, taken, multiply=multiply)
        store.close()
        hurried.close()


@contextmanager
def redis(_: int) -> Iterator[Bench]:
    with Redis("--auto-aof-rewrite-percentage", "0", disk=None) as server:
        store = open_key_store(server.url(), timeout_seconds=60)

        def used() -> int:
            lines = server.run("INFO", "memory").split("\r\n")
            return int(next(line for line in lines if line.startswith("used_memory:"))[12:])

        def hurry(on: bool) -> str:
            return server.run("CONFIG", "SET", "appendfsync", "no" if on else "always")

        before = used()
        yield Bench(store, store, lambda: used() - before, hurry, SERVER_THREADS)
        store.close()


STORES: dict[str, Callable[[int], Any]] = {
    "memory": memory,
    "shared memory": partial(sqlite, durable=False),
    "sqlite": sqlite,
    "postgresql": postgresql,
    "redis": redis,
}


def _bytes_in(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())


def _multiply_in_sqlite(path: str, first: int, end: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_function("order_name", 1, order_name, deterministic=True)
    connection.create_function("intent_name", 1, intent_name, deterministic=True)
    for start in range(first, end, CHUNK):
        connection.execute(MULTIPLY_IN_SQLITE, (start, min(start + CHUNK, end) - 1))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def resident_bytes() -> int:
    """What this process has in memory now."""
    return psutil.Process().memory_info().rss


def cost(name: str, orders: int) -> str:
    """Run one store's bench, a small and a large one beside each other; return the table's line."""
    with STORES[name](FEW) as small, STORES[name](orders) as large:
        for bench, end in ((small, FEW), (large, orders)):
            fill(bench, 0, FEW)
            fill(bench, FEW, end)
        taken = large.bytes_taken() / orders
        few, many = measure((small.store, large.store), orders)
    times = f"{few.cpu_us:.0f} | {many.cpu_us:.0f} | {few.wall_us:.0f} | {many.wall_us:.0f}"
    ratios = f"{many.cpu_us / few.cpu_us:.2f} | {many.wall_us / few.wall_us:.2f}"
    return f"| {name} | {taken:.0f} | {times} | {ratios} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--stores", default=",".join(STORES))
    asked = parser.parse_args()
    print(
        f"| store | bytes | CPU µs at {FEW:,} | at {asked.orders:,} | wall µs at {FEW:,} "
        f"| at {asked.orders:,} | CPU ratio | wall ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in asked.stores.split(","):
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as process:
            print(process.submit(cost, name, asked.orders).result(), flush=True)


if __name__ == "__main__":
    main()
