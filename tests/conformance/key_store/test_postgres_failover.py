"""PostgreSQL on two servers: the standby refuses, is promoted, and may lack the last writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from payment_service.key_store import KeyStore, open_key_store
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.record import transitions
from tests.support.flow_bench import FlowBench
from tests.support.key_stores import TIMEOUT_SECONDS, record, use_connections, uses
from tests.support.order_load import order_load
from tests.support.postgres_pair import PostgresPair
from tests.support.redis_cluster import until

ORDERS = 600


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[PostgresPair]:
    with PostgresPair(synchronous=request.param == "synchronous") as running:
        yield running


@pytest.mark.parametrize("pair", ["asynchronous"], indirect=True)
def test_hot_standby_alone_is_refused_until_it_is_promoted(
    pair: PostgresPair, caplog: pytest.LogCaptureFixture
) -> None:
    open_key_store(pair.primary.url()).close()
    pair.catch_up()
    store = open_key_store(pair.standby.url(), timeout_seconds=TIMEOUT_SECONDS)
    for use in uses(store):
        with pytest.raises(StoreUnavailable) as caught:
            use()
        assert caught.value.cause == "read_only"
    (line,) = [each for each in caplog.messages if "key store failed" in each]
    assert "session is read-only" in line
    pair.fail_over()
    store.ping()
    use_connections(store, 6)
    assert store.claim(record()) == record()
    store.close()


@pytest.mark.parametrize("pair", ["asynchronous"], indirect=True)
def test_host_that_accepts_writes_is_found(pair: PostgresPair) -> None:
    store = open_key_store(pair.url(), timeout_seconds=TIMEOUT_SECONDS)
    assert store.claim(record()) == record()
    pair.catch_up()
    pair.fail_over()
    until_writable(store)
    assert store.claim(record(owner="second")) == record()
    store.close()


@pytest.mark.parametrize("pair", ["synchronous", "asynchronous"], indirect=True)
def test_promotion_in_traffic_makes_no_second_payment_intent(pair: PostgresPair) -> None:
    with order_load(pair.url()) as load:
        load.run(ORDERS, pair.fail_over)
        load.replay()
        assert len(load.given) == ORDERS
        assert {order_id for order_id, ids in load.given.items() if len(ids) > 1} == set()
        assert load.two_payable() == []


@pytest.mark.parametrize("pair", ["synchronous"], indirect=True)
def test_promoted_synchronous_standby_has_every_acknowledged_write(pair: PostgresPair) -> None:
    store = open_key_store(pair.url(), timeout_seconds=TIMEOUT_SECONDS)
    acknowledged = {store.claim(record(f"A-{number}")) for number in range(100)}
    pair.fail_over()
    until_writable(store)
    assert set(store.scan()) == acknowledged
    store.close()


@pytest.mark.parametrize("pair", ["asynchronous"], indirect=True)
@pytest.mark.parametrize(("hours", "hurt"), [(1, []), (30, ["lost"])])
def test_only_a_lost_order_that_returns_after_a_day_is_hurt(
    pair: PostgresPair, hours: int, hurt: list[str]
) -> None:
    """`kept` was replicated, of `half` only the claim, and nothing of `lost`."""
    store = open_key_store(pair.url(), timeout_seconds=TIMEOUT_SECONDS)
    bench = FlowBench(store)
    before = {"kept": bench.ask("kept").intent.id}
    bench.records.claim(transitions.first_claim(bench.wanted("half"), bench.context.lease()))
    pair.catch_up()
    pair.cut()
    bench.now += 60
    before |= {name: bench.ask(name).intent.id for name in ("half", "lost")}
    pair.fail_over()
    until_writable(store)
    bench.now += hours * 3600
    after = {name: bench.ask(name).intent.id for name in before}
    assert [name for name in before if before[name] != after[name]] == hurt
    assert {name: len(bench.made(name)) for name in before} == {
        name: 2 if name in hurt else 1 for name in before
    }
    store.close()


def until_writable(store: KeyStore) -> None:
    def is_ready() -> bool:
        try:
            store.ping()
        except StoreUnavailable:
            return False
        return True

    until(is_ready)
