"""Stores filled with any number of orders, as if the service had created each.

Order numbers are pseudo-random texts, so that they are spread over an index. The service's code
writes the first ones; the store copies one of them, in SQL or Lua, to create the rest. These
changed a hundredth of a second apart; seven of ten are paid, and one of 500 waits for a capture.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from redis import Redis as Client

from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store import KeyStore, open_key_store, shared_memory_store
from payment_service.key_store.contract import Order
from payment_service.key_store.memory import MemoryStore
from payment_service.key_store.shared_directory import PREFIX
from payment_service.payments.record import transitions
from payment_service.payments.record.records import Records
from tests.support.servers import Postgres, Redis

FEW = 1_000
NOW = 1_800_000_000.0

# Orders per statement.
CHUNK = 500_000

_COPIED = """
    attempt, fingerprint, replace(params, order_name(0), order_name(i)), state, owner, locked_until,
    first_sent_at, updated_at + i * 0.01, version, saved_5xx, intent_name(i),
    CASE
        WHEN i % 500 = 0 THEN 'requires_capture'
        WHEN i % 10 < 7 THEN 'succeeded'
        WHEN i % 10 = 9 THEN 'canceled'
        ELSE payment_status
    END,
    replace(follow_up, intent_name(0), intent_name(i)), due_at, alarm_at, list_client,
    listed_version
"""

_INTO = """
INSERT INTO key_records (
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at,
    list_client, listed_version
)
"""

MULTIPLY_IN_SQLITE = f"""
WITH RECURSIVE numbers(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM numbers WHERE i < ?)
{_INTO}
SELECT replace(key, order_name(0), order_name(i)), {_COPIED}
FROM key_records, numbers WHERE key = 'test:6:shop-7:' || order_name(0)
"""

MULTIPLY_IN_POSTGRES = f"""
{_INTO}
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

# A script blocks Redis, so each creates a limited number. Redis has SHA-1 but not MD5.
REDIS_CHUNK = 10_000

MULTIPLY_IN_REDIS = """
local seed = redis.call('HMGET', KEYS[1], 'owner', 'version', 'record')
local function copied(text, from, to)
    local at, stop = string.find(text, from, 1, true)
    while at do
        text = string.sub(text, 1, at - 1) .. to .. string.sub(text, stop + 1)
        at, stop = string.find(text, from, at + #to, true)
    end
    return text
end
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    local name = 'ORDER-' .. string.sub(redis.sha1hex(i), 1, 32)
    local record = copied(seed[3], ARGV[3], name)
    record = copied(record, ARGV[4], string.format('pi_3Q%022d', i))
    local at, status = string.format('%.3f', ARGV[6] + i * 0.01), 'requires_payment_method'
    if i % 500 == 0 then
        status = 'requires_capture'
    elseif i % 10 < 7 then
        status = 'succeeded'
    elseif i % 10 == 9 then
        status = 'canceled'
    end
    record = string.gsub(record, '"updated_at":[%d.]+', '"updated_at":' .. at)
    record = string.gsub(record, '("payment_status":)"[a-z_]+"', '%1"' .. status .. '"')
    redis.call('HSET', ARGV[5] .. name, 'owner', seed[1], 'version', seed[2], 'record', record)
    redis.call('HSET', ARGV[5] .. name, 'listed', seed[2])
    local order = 'test:6:shop-7:' .. name
    redis.call('ZADD', 'payment:list:{0}:test:' .. status, at, order)
    redis.call('ZADD', 'payment:list:{0}:test:6:shop-7:' .. status, at, order)
end
"""


@dataclass(frozen=True, slots=True)
class FilledStore:
    """A filled store: `store` is durable, and `fast` is the same one without durability.

    `url` is its KEY_STORE_URL. `bytes_taken` returns its total size.
    """

    url: str
    store: KeyStore
    fast: KeyStore
    bytes_taken: Callable[[], int]
    multiply: Callable[[int, int], object] | None = None
    """Add the orders from one number up to another, as copies of order 0."""


def order_name(number: int) -> str:
    """Return the order number of a shop that uses random ones."""
    return "ORDER-" + hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def intent_name(number: int) -> str:
    """Return the id of an order's PaymentIntent."""
    return f"pi_3Q{number:022d}"


def take_order(store: KeyStore, number: int) -> None:
    """Claim and finish an order, as the service does."""
    order_id = order_name(number)
    params = {
        "amount": 1099,
        "currency": "usd",
        "automatic_payment_methods": {"enabled": True},
        "description": "2 bags of espresso beans, 1 kg",
        "receipt_email": "shopper@example.com",
        "metadata": {"order_id": order_id, "client_id": "shop-7", "basket": "b-81235"},
    }
    wanted = transitions.Wanted(
        Order(livemode=False, client_id="shop-7", order_id=order_id),
        "0123456789abcdef" * 4,
        SentParams("2026-10-28.endive", params),
    )
    mine = transitions.first_claim(wanted, transitions.Lease(uuid4().hex, NOW, 35.0))
    records = Records(store)
    held = records.claim(mine)
    assert held.owner == mine.owner
    assert records.replace(held, transitions.created(held, intent(number), NOW + 0.3))


def intent(number: int) -> Intent:
    return Intent(intent_name(number), "", "requires_payment_method", 1099, "usd", int(NOW), {})


def fill(bench: FilledStore, orders: int) -> None:
    """Store this many orders, numbered from 0."""
    by_hand = FEW if bench.multiply else orders
    for number in range(by_hand):
        take_order(bench.fast, number)
    if bench.multiply and orders > by_hand:
        bench.multiply(by_hand, orders)


@contextmanager
def memory(orders: int) -> Iterator[FilledStore]:
    store = MemoryStore(orders + 10 * FEW)
    before = resident_bytes()
    yield FilledStore("memory://", store, store, lambda: resident_bytes() - before)


@contextmanager
def sqlite(_: int, durable: bool = True) -> Iterator[FilledStore]:
    directory = tempfile.mkdtemp(prefix=PREFIX)
    path = f"{directory}/keys.db"
    fast = shared_memory_store(path, timeout_seconds=60)
    store = open_key_store(f"sqlite:///{path}", timeout_seconds=60) if durable else fast
    taken = partial(_bytes_in, Path(directory))
    url = f"sqlite:///{path}" if durable else f"memory://{path}"
    yield FilledStore(url, store, fast, taken, multiply=partial(_multiply_in_sqlite, path))
    store.close()
    fast.close()
    shutil.rmtree(directory)


@contextmanager
def postgresql(_: int) -> Iterator[FilledStore]:
    with Postgres("shared_buffers=256MB", "max_wal_size=4GB", disk=None) as server:
        store = open_key_store(server.url(), timeout_seconds=60)
        server.run(NAMES_IN_POSTGRES)
        hurry = "?options=-c%20synchronous_commit%3Doff"
        fast = open_key_store(server.url() + hurry, timeout_seconds=60)
        size = "SELECT pg_total_relation_size('key_records')"

        def taken() -> int:
            return int(str(server.run(size)[0][0]))

        def multiply(first: int, end: int) -> None:
            for start in range(first, end, CHUNK):
                server.run(MULTIPLY_IN_POSTGRES.format(start, min(start + CHUNK, end) - 1))
            server.run("VACUUM ANALYZE key_records")
            server.run("CHECKPOINT")

        yield FilledStore(server.url(), store, fast, taken, multiply=multiply)
        store.close()
        fast.close()


@contextmanager
def redis(_: int) -> Iterator[FilledStore]:
    with Redis("--auto-aof-rewrite-percentage", "0", disk=None) as server:
        store = open_key_store(server.url(), timeout_seconds=60)
        client = Client.from_url(server.url())

        def taken() -> int:
            return int(client.info("memory")["used_memory"])

        def multiply(first: int, end: int) -> None:
            before, seed = "payment:order:test:6:shop-7:", order_name(0)
            names = (seed, intent_name(0), before, NOW)
            client.config_set("appendfsync", "no")
            for start in range(first, end, REDIS_CHUNK):
                last = min(start + REDIS_CHUNK, end) - 1
                client.eval(MULTIPLY_IN_REDIS, 1, before + seed, start, last, *names)
            client.config_set("appendfsync", "always")

        before = taken()
        yield FilledStore(server.url(), store, store, lambda: taken() - before, multiply)
        store.close()
        client.close()


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
    """Return the resident memory of this process."""
    return psutil.Process().memory_info().rss
