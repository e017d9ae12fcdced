"""The Redis index of due records, when a process dies between its two writes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from redis import Redis as Client

from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.order_key import order_key
from payment_service.key_store.redis.due import DUE, DueIndex, entry_of
from payment_service.key_store.redis.opening import open_servers
from payment_service.key_store.redis.pipeline import Pipeline
from payment_service.key_store.redis.script import Script, ScriptCall
from payment_service.key_store.redis.store import RedisStore
from tests.support.key_stores import NOW, order, record
from tests.support.servers import Redis


@pytest.fixture
def store(redis_server: Redis) -> Iterator[RedisStore]:
    opened = RedisStore(redis_server.new_url(), timeout_seconds=2)
    yield opened
    opened.close()


@pytest.fixture
def client(redis_server: Redis) -> Iterator[Client]:
    with Client.from_url(redis_server.url(), decode_responses=True) as opened:
        yield opened


@pytest.fixture
def pipeline(redis_server: Redis) -> Iterator[Pipeline]:
    servers, _ = open_servers(redis_server.new_url(), 2)
    yield Pipeline(servers)
    servers.close()


def test_index_entry_without_a_record_is_dropped(store: RedisStore, client: Client) -> None:
    client.zadd(DUE, {order_key(order("ghost")): NOW - 1})
    store.claim(record(due_at=NOW))
    assert store.due(NOW, 1) == [record(due_at=NOW)]
    assert client.zrange(DUE, 0, -1) == [order_key(order())]


def test_many_entries_without_records_hide_no_due_record(store: RedisStore, client: Client) -> None:
    client.zadd(DUE, {order_key(order(f"ghost-{n}")): NOW - 1 for n in range(25)})
    store.claim(record(due_at=NOW))
    assert store.due(NOW, 10) == [record(due_at=NOW)]


def test_entry_dropped_before_its_record_hides_nothing(client: Client, pipeline: Pipeline) -> None:
    """A reader just before the second write drops the entry; the script does the same."""
    script = Script.of(
        "redis.call('ZREM', 'payment:due', ARGV[1]); return redis.call('SET', KEYS[1], 'written')"
    )
    entry = entry_of(record(due_at=NOW))
    call = ScriptCall(script, "any", (order_key(order()),), entry)
    assert pipeline.run([call], time.monotonic() + 2) == [b"OK"]
    assert client.get("any") == "written"
    assert client.zscore(DUE, order_key(order())) == NOW


def test_entry_written_concurrently_is_kept(client: Client, pipeline: Pipeline) -> None:
    client.zadd(DUE, {order_key(order()): NOW - 1})
    DueIndex(pipeline).settle(order_key(order()), NOW, None, time.monotonic() + 2)
    assert client.zscore(DUE, order_key(order())) == NOW - 1


def test_nothing_expires(store: RedisStore, client: Client) -> None:
    held = store.claim(record(due_at=NOW))
    store.replace(held, replace(held, version=2, state="created"))
    assert {client.ttl(key) for key in client.scan_iter()} == {-1}
    keys = sorted(each.partition(":test:")[0] for each in client.scan_iter())
    assert keys == ["payment:due", "payment:list:{0}", "payment:order"]


def test_lost_data_is_no_record_and_no_error(store: RedisStore, client: Client) -> None:
    """The server lost its cached scripts, too."""
    store.claim(record(due_at=NOW))
    client.flushall()
    client.script_flush()
    assert store.read(order()) is None
    assert not store.replace(record(), replace(record(), version=2, due_at=NOW))
    client.script_flush()
    assert store.due(NOW, 10) == []
    assert store.claim(record(owner="second")).owner == "second"


def test_connection_to_a_demoted_server_is_discarded() -> None:
    """By then, the name may point to another server. No other test has connections to this one."""
    with Redis() as server, Client.from_url(server.url(), decode_responses=True) as client:
        store = RedisStore(server.new_url(), timeout_seconds=2)
        store.claim(record())
        before = store_connections(client)
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(StoreUnavailable):
            store.claim(record("A-2"))
        client.replicaof("NO", "ONE")
        assert store.claim(record("A-2")) == record("A-2")
        assert not before & store_connections(client)
        store.close()


def store_connections(client: Client) -> set[str]:
    own = str(client.client_id())
    return {each["id"] for each in client.client_list() if each["id"] != own}
