"""The lists of the Redis store, when they contradict the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis as Client
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from payment_service.key_store import open_key_store
from payment_service.key_store.contract import KeyRecord, Selection
from payment_service.key_store.order_key import order_key
from payment_service.key_store.redis.listing import SHARDS, Lists
from payment_service.key_store.redis.opening import open_servers
from payment_service.key_store.redis.pipeline import Pipeline
from payment_service.key_store.redis.record import record_key
from payment_service.key_store.redis.store import RedisStore
from tests.support.key_stores import NOW, order, record
from tests.support.redis_cluster import RedisCluster
from tests.support.servers import Redis

TEST = Selection(livemode=False)
PENDING, OTHER = "payment:list:{0}:test:pending", "payment:list:{0}:test:other"


@pytest.fixture
def store(redis_server: Redis) -> Iterator[RedisStore]:
    opened = RedisStore(redis_server.new_url(), timeout_seconds=2)
    yield opened
    opened.close()


@pytest.fixture
def client(redis_server: Redis) -> Iterator[Client]:
    with Client.from_url(redis_server.url(), decode_responses=True) as opened:
        yield opened


def entries(client: Client, name: str) -> list[tuple[str, float]]:
    found: Any = client.zrange(name, 0, -1, withscores=True)
    return [(member, score) for member, score in found]


def test_entries_without_records_are_dropped_and_hide_nothing(
    store: RedisStore, client: Client
) -> None:
    held = store.claim(record())
    client.zadd(PENDING, {order_key(order(f"ghost-{n}")): NOW + n for n in range(25)})
    assert store.page(TEST, 1) == [held]
    assert entries(client, PENDING) == [(order_key(order()), NOW)]


def test_an_entry_of_a_former_status_is_dropped(store: RedisStore, client: Client) -> None:
    held = store.claim(record())
    client.zadd(OTHER, {order_key(order()): NOW + 5})
    assert store.page(replace(TEST, statuses=("other",)), 10) == []
    assert entries(client, OTHER) == []
    assert store.page(TEST, 10) == [held]


def test_an_entry_that_is_too_high_is_put_in_its_place(store: RedisStore, client: Client) -> None:
    held, newer = store.claim(record()), store.claim(record("A-2", updated_at=NOW + 1))
    client.zadd(PENDING, {order_key(order()): NOW + 5})
    assert store.page(TEST, 10) == [newer, held]
    assert entries(client, PENDING)[0] == (order_key(order()), NOW)


def test_lost_lists_can_be_made_again(store: RedisStore, client: Client) -> None:
    held = store.claim(record())
    client.delete(PENDING)
    assert store.page(TEST, 10) == []
    assert list(store.unlisted(again=True)) == [held]
    # This search runs once, and the one above completed it.
    assert list(store.unlisted()) == []


def test_alarm_that_an_earlier_release_left_behind_does_not_count(
    store: RedisStore, client: Client
) -> None:
    held = store.claim(record(alarm_at=NOW))
    client.hset(record_key(held.order), "version", 2)
    assert store.read(held.order) == replace(held, version=2, alarm_at=None)


def listed_in(url: str, held: KeyRecord) -> tuple[str, ...]:
    servers, _ = open_servers(url, 2)
    lists = Lists(Pipeline(servers), lambda _: [], is_one=servers.is_one)
    servers.close()
    return lists.entry(None, held).added


def test_lists_of_a_cluster_are_near_their_record(redis_cluster: RedisCluster) -> None:
    """Otherwise a master that is down would delay the orders of the others."""
    url = redis_cluster.new_url()
    for number in range(100):
        held = record(order(f"A-{number}", "shop-a"), alarm_at=NOW)
        slots = [key_slot(each.encode()) for each in listed_in(url, held)]
        assert len(slots) == 3
        assert len(set(slots)) == 1
        of_record = key_slot(record_key(held.order).encode())
        assert {slot * SHARDS // REDIS_CLUSTER_HASH_SLOTS for slot in (*slots, of_record)} == {
            of_record * SHARDS // REDIS_CLUSTER_HASH_SLOTS
        }


def test_superfluous_entries_of_a_cluster_are_corrected(redis_cluster: RedisCluster) -> None:
    """A process that dies before it writes the record leaves them."""
    url = redis_cluster.new_url()
    store = open_key_store(url, timeout_seconds=2)
    held = store.claim(record())
    (pending,) = listed_in(url, held)
    (other,) = listed_in(url, replace(held, state="created"))
    node = redis_cluster.master_of(pending)
    node.ask("ZADD", other, NOW + 9, order_key(held.order))
    node.ask("ZADD", pending, NOW + 9, order_key(held.order))
    assert store.page(TEST, 10) == [held]
    assert node.ask("ZSCORE", other, order_key(held.order)) is None
    assert float(node.ask("ZSCORE", pending, order_key(held.order))) == NOW
    store.close()
