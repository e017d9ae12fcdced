"""A Redis Cluster whose slots move and whose masters fail, and servers of the wrong kind."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from payment_service.key_store import KeyStore, open_key_store, refuse_unusable
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.key_store.order_key import order_key
from payment_service.key_store.redis.record import PREFIX
from tests.support.key_stores import NOW, TIMEOUT_SECONDS, order, record, uses
from tests.support.order_load import order_load
from tests.support.redis_cluster import Node, RedisCluster, Sentinel, until
from tests.support.sandbox_process import ROOT, SandboxProcess
from tests.support.servers import Redis, free_port
from tests.support.service_process import COMMAND, ServiceProcess

# A master is replaced within a few node time-outs; a busy machine needs more.
FAILOVER_SECONDS = 30.0


@pytest.fixture
def store(redis_cluster: RedisCluster) -> Iterator[KeyStore]:
    opened = open_key_store(redis_cluster.new_url(), timeout_seconds=TIMEOUT_SECONDS)
    yield opened
    opened.close()


def key_of(order_id: str) -> str:
    return PREFIX + order_key(order(order_id))


def claim_until_answered(store: KeyStore, wanted: KeyRecord) -> KeyRecord:
    end = time.monotonic() + FAILOVER_SECONDS
    while True:
        try:
            return store.claim(wanted)
        except StoreUnavailable:
            assert time.monotonic() < end


def names_by_master(cluster: RedisCluster, count: int = 60) -> dict[Node, list[str]]:
    found: dict[Node, list[str]] = {}
    for number in range(count):
        found.setdefault(cluster.master_of(key_of(f"A-{number}")), []).append(f"A-{number}")
    return found


def test_orders_of_a_slot_that_migrates_stay_usable(
    redis_cluster: RedisCluster, store: KeyStore
) -> None:
    """The braces put every order into one slot."""
    held = [store.claim(record(f"{{x}}{number}", due_at=NOW)) for number in range(4)]
    slot = redis_cluster.nodes[0].ask("CLUSTER KEYSLOT", key_of("{x}0"))
    source = redis_cluster.master_of(key_of("{x}0"))
    target = next(node for node in redis_cluster.masters() if node is not source)
    redis_cluster.open_move(slot, source, target)
    for number in (0, 1):
        source.ask("MIGRATE", "127.0.0.1", target.port, key_of(f"{{x}}{number}"), 0, 1000)
    for each in held:
        assert store.claim(replace(each, owner="second")) == each
        assert store.replace(each, replace(each, version=2))
        assert not store.replace(each, replace(each, version=2))
    assert store.claim(record("{x}new")) == record("{x}new")
    for number in (2, 3):
        source.ask("MIGRATE", "127.0.0.1", target.port, key_of(f"{{x}}{number}"), 0, 1000)
    redis_cluster.end_move(slot, source, target)
    assert [store.read(each.order) for each in held] == [replace(each, version=2) for each in held]
    assert len(store.due(NOW, 10)) == 4
    assert len(list(store.scan())) == 5


def test_scan_finds_orders_that_move_behind_it(
    redis_cluster: RedisCluster, store: KeyStore
) -> None:
    """They move from the server that it reads last to the one that it has read."""
    by_master = names_by_master(redis_cluster)
    for names in by_master.values():
        for name in names:
            store.claim(record(name))
    scan = store.scan()
    seen = [next(scan)]
    first = redis_cluster.master_of(key_of(seen[0].order.order_id))
    for source in by_master:
        if source is not first:
            redis_cluster.move([key_of(by_master[source][0])], first)
    seen += scan
    assert sorted(each.order.order_id for each in seen) == sorted(
        name for names in by_master.values() for name in names
    )


def test_ordered_failover_loses_no_request(redis_cluster: RedisCluster, store: KeyStore) -> None:
    claimed = [store.claim(record(f"A-{number}")) for number in range(30)]
    old = redis_cluster.master_of(key_of("A-0"))
    heirs = [node for node in redis_cluster.nodes if not node.is_master()]
    heir = next(node for node in heirs if node.ask("ROLE")[2] == old.port)
    with redis_cluster.counting_none_as_failed(), ThreadPoolExecutor(4) as pool:
        more = [pool.submit(store.claim, record(f"B-{number}")) for number in range(300)]
        heir.ask("CLUSTER FAILOVER")
        until(heir.is_master)
        assert all(each.result(60) for each in more)
    assert [store.read(each.order) for each in claimed] == claimed
    assert len(list(store.scan())) == 330


def test_killed_master_is_replaced_and_its_orders_remain(
    redis_cluster: RedisCluster, store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    by_master = names_by_master(redis_cluster)
    for names in by_master.values():
        for name in names:
            store.claim(record(name))
    victim, names = next(iter(by_master.items()))
    victim.ask("WAIT", 1, 5000)
    victim.kill()
    for name in names:
        assert claim_until_answered(store, record(name, owner="second")).owner == "first"
    assert len(list(store.scan())) == 60
    failures = [line for line in caplog.messages if "key store failed" in line]
    assert failures
    assert len(failures) == len({line.partition(" failed: ")[2][:40] for line in failures})


@pytest.mark.alone
def test_frozen_master_delays_only_its_own_orders(
    redis_cluster: RedisCluster, store: KeyStore
) -> None:
    by_master = names_by_master(redis_cluster)
    store.ping()
    frozen, *others = by_master
    frozen.freeze()
    try:
        with ThreadPoolExecutor(8) as pool:
            stuck = [pool.submit(store.claim, record(name)) for name in by_master[frozen][:4]]
            began = time.monotonic()
            answered = [pool.submit(store.claim, record(name)) for name in by_master[others[0]][:4]]
            assert all(each.result(60) for each in answered)
            assert time.monotonic() - began < 0.8
            # Before the time-out, another node may have taken over.
            assert {type(each.exception(60)) for each in stuck} <= {StoreUnavailable, type(None)}
    finally:
        frozen.thaw()


def test_thousand_orders_are_answered_once_while_a_master_is_killed(
    redis_cluster: RedisCluster,
) -> None:
    with order_load(redis_cluster.new_url()) as load:
        victim = redis_cluster.master_of(key_of("A-1"))
        load.run(1000, victim.kill)
        load.replay()
        assert load.errors["store_unavailable"] > 0
        assert len(load.given) == 1000
        assert {order_id for order_id, ids in load.given.items() if len(ids) > 1} == set()
        assert load.two_payable() == []
        assert load.errors.keys() <= {"store_unavailable", "in_flight", "stripe_unreachable"}


def test_wait_for_replicas_fails_a_write_that_no_replica_has(redis_server: Redis) -> None:
    url = redis_server.new_url()
    store = open_key_store(f"{url}?wait_replicas=1", timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(StoreUnavailable, match="WAIT 1: 0 replicas") as caught:
        store.claim(record())
    assert caught.value.cause == "read_only"
    # The master has it: the next request for the order meets the claim.
    assert store.read(order()) == record()
    store.close()


def test_wait_for_replicas_passes_where_one_has_the_write(redis_cluster: RedisCluster) -> None:
    store = open_key_store(
        f"{redis_cluster.new_url()}?wait_replicas=1", timeout_seconds=TIMEOUT_SECONDS
    )
    held = store.claim(record(due_at=NOW))
    assert store.replace(held, replace(held, version=2))
    replicas = [node for node in redis_cluster.nodes if not node.is_master()]
    copies = [node.ask("INFO", "keyspace").get("db0", {}).get("keys", 0) for node in replicas]
    # The order, and its entries in the two indexes.
    assert sum(copies) == 3
    store.close()


def refused(url: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return what stops the start; the store, if it is opened, must say the same."""
    with pytest.raises(ValueError) as stopped:
        refuse_unusable(url, TIMEOUT_SECONDS)
    store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
    for use in uses(store):
        with pytest.raises(StoreUnavailable, match="write redis") as caught:
            use()
        assert caught.value.cause == "wrong_server"
    assert len([line for line in caplog.messages if "key store failed" in line]) == 1
    store.close()
    return str(stopped.value)


def test_plain_url_of_a_cluster_node_is_refused(
    redis_cluster: RedisCluster, caplog: pytest.LogCaptureFixture
) -> None:
    redis_cluster.settle()
    url = f"redis://127.0.0.1:{redis_cluster.nodes[0].port}"
    assert "write redis+cluster://" in refused(url, caplog)


def test_cluster_url_of_a_plain_server_is_refused(
    redis_server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis+cluster://127.0.0.1:{redis_server.port}"
    assert "write redis://" in refused(url, caplog)


def test_plain_url_of_a_sentinel_is_refused(
    redis_sentinel: Sentinel, caplog: pytest.LogCaptureFixture
) -> None:
    url = redis_sentinel.url().replace("+sentinel", "").rpartition("/")[0]
    assert "write redis+sentinel://" in refused(url, caplog)


def test_failover_by_sentinel_loses_no_order(redis_sentinel: Sentinel) -> None:
    store = open_key_store(redis_sentinel.new_url(), timeout_seconds=TIMEOUT_SECONDS)
    claimed = [store.claim(record(f"A-{number}")) for number in range(20)]
    redis_sentinel.fail_over()
    for each in claimed:
        assert claim_until_answered(store, replace(each, owner="second")) == each
    assert claim_until_answered(store, record("new")) == record("new")
    store.close()


def test_service_that_sentinel_does_not_know_is_named(redis_sentinel: Sentinel) -> None:
    store = open_key_store(f"{redis_sentinel.url()}-gone", timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(StoreUnavailable, match="No master found for 'orders-gone'") as caught:
        store.ping()
    assert caught.value.cause == "cluster_down"
    store.close()


def test_service_on_a_cluster_answers_and_replays(
    redis_cluster: RedisCluster, sandbox: SandboxProcess
) -> None:
    environ = {"KEY_STORE_URL": redis_cluster.new_url(), "WEB_CONCURRENCY": "2"}
    with ServiceProcess(sandbox.url, environ) as service:
        assert service.get("/readyz").status_code == 200
        answers = [service.create(f"A-{number % 10}") for number in range(20)]
        assert {each.status_code for each in answers} == {200}
        assert len({each.json()["payment_intent_id"] for each in answers}) == 10


def test_service_with_a_plain_url_of_a_node_does_not_start(redis_cluster: RedisCluster) -> None:
    redis_cluster.settle()
    environ = {
        "PATH": os.environ["PATH"],
        "STRIPE_SECRET_KEY": "sk_test_abc",
        "KEY_STORE_URL": f"redis://127.0.0.1:{redis_cluster.nodes[0].port}",
        "PORT": str(free_port()),
    }
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "Settings: KEY_STORE_URL: the server is a node of a Redis Cluster: write redis+cluster://"
    )
