"""rediss+cluster:// and rediss+sentinel://: every connection speaks TLS."""

from __future__ import annotations

import itertools

import pytest
from redis.crc import key_slot

from payment_service.key_store import open_key_store
from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.redis.record import record_key
from tests.support.key_stores import TIMEOUT_SECONDS, order, record
from tests.support.redis_cluster import SLOTS
from tests.support.tls_proxy import TRUSTED, TlsCluster, TlsSentinel


def name_in(slots: range) -> str:
    """Return the id of an order whose record is in one of these slots of a cluster."""
    names = (f"A-{number}" for number in itertools.count())
    return next(name for name in names if key_slot(record_key(order(name)).encode()) in slots)


def test_cluster_speaks_tls_with_every_node() -> None:
    names = [name_in(range(SLOTS // 2)), name_in(range(SLOTS // 2, SLOTS))]
    with TlsCluster() as cluster:
        store = open_key_store(cluster.url(), timeout_seconds=TIMEOUT_SECONDS)
        claimed = [store.claim(record(name)) for name in names]
        assert [store.read(order(name)) for name in names] == claimed
        store.close()
        assert all(proxy.served for proxy in cluster.proxies)
        assert all(node.ask("DBSIZE") for node in cluster.nodes)


def test_sentinel_and_its_master_speak_tls() -> None:
    with TlsSentinel() as sentinel:
        store = open_key_store(sentinel.url(), timeout_seconds=TIMEOUT_SECONDS)
        assert store.claim(record()) == record()
        assert store.read(order()) == record()
        store.close()
        assert all(proxy.served for proxy in sentinel.proxies)


@pytest.mark.parametrize("kind", [TlsCluster, TlsSentinel])
@pytest.mark.parametrize("trusted", ["ssl_check_hostname=false", TRUSTED.partition("&")[0]])
def test_certificate_of_another_authority_or_host_is_refused(
    kind: type[TlsCluster | TlsSentinel], trusted: str
) -> None:
    with kind() as servers:
        url = servers.url().replace(TRUSTED, trusted)
        store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
        with pytest.raises(StoreUnavailable) as caught:
            store.claim(record())
        assert caught.value.cause == "tls"
        store.close()
