"""What an order costs in each store, and whether that depends on how many are stored.

    python -m benchmarks.store_cost [--orders 1000000] [--stores sqlite,redis]

An order is what the service writes for one: a claim, then the replace that records its
PaymentIntent. Time is the median of 1,000 orders, one after the other; CPU is this process's,
the server's not included. Bytes are what all the orders take, divided by how many there are.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
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


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_us: float
    wall_us: float


def take_order(store: KeyStore, number: int) -> None:
    """Claim and finish, as the service does."""
    order_id = f"ORDER-{number:012d}"
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
    made = f"pi_3Q{number:022d}"
    return Intent(made, "", "requires_payment_method", 1099, "usd", int(NOW), {}, {})


def measure(store: KeyStore, first: int) -> Cost:
    walls = []
    cpu = time.process_time()
    for number in range(first, first + MEASURED):
        began = time.perf_counter()
        take_order(store, number)
        walls.append(time.perf_counter() - began)
    return Cost((time.process_time() - cpu) / MEASURED * 1e6, statistics.median(walls) * 1e6)


def fill(bench: Bench, first: int, end: int) -> None:
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
    yield Bench(store, hurried, lambda: sum(f.stat().st_size for f in Path(directory).iterdir()))
    store.close()
    hurried.close()
    shutil.rmtree(directory)


@contextmanager
def postgresql(_: int) -> Iterator[Bench]:
    with Postgres("shared_buffers=256MB", "max_wal_size=4GB", disk=None) as server:
        store = open_key_store(server.url(), timeout_seconds=60)
        hurry = "?options=-c%20synchronous_commit%3Doff"
        hurried = open_key_store(server.url() + hurry, timeout_seconds=60)
        size = "SELECT pg_total_relation_size('key_records')"

        def taken() -> int:
            return int(str(server.run(size)[0][0]))

        yield Bench(store, hurried, taken, filling_threads=SERVER_THREADS)
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


def resident_bytes() -> int:
    """What this process has in memory now."""
    return psutil.Process().memory_info().rss


def cost(name: str, orders: int) -> str:
    """Run one store's bench; return its line of the table."""
    with STORES[name](orders) as bench:
        take_order(bench.store, orders + 3 * MEASURED)
        fill(bench, 0, FEW)
        few = measure(bench.store, orders + MEASURED)
        fill(bench, FEW, orders)
        many = measure(bench.store, orders + 2 * MEASURED)
        taken = bench.bytes_taken() / (orders + 2 * MEASURED + 1)
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
