"""Rate limits counted in Redis: the services that share it share the limits."""

from __future__ import annotations

from collections import Counter

import pytest
from flask.testing import FlaskClient

from payment_service.schema.secret import Secret
from tests.support.fake_payments import FakePayments, client_of
from tests.support.key_stores import CLUSTER, SENTINEL, Place
from tests.support.redis_cluster import RedisCluster

LIMIT = 3

# More addresses than masters, so that each master counts some.
ADDRESSES = [f"192.0.2.{number}" for number in range(12)]


def service_on(url: str) -> FlaskClient:
    """Return a client of another machine's service on this store."""
    return client_of(FakePayments(), rate_limit_per_address=LIMIT, key_store_url=Secret(url))


def ask(client: FlaskClient, address: str) -> int:
    order = {"amount": 1099, "order_id": "A-1"}
    answer = client.post(
        "/create-payment-intent", json=order, environ_overrides={"REMOTE_ADDR": address}
    )
    return answer.status_code


@pytest.mark.parametrize("place", ["redis", CLUSTER, SENTINEL], indirect=True)
def test_services_share_the_limit_of_an_address(place: Place) -> None:
    services = [service_on(place.where), service_on(place.where)]
    for address in ADDRESSES:
        codes = Counter(ask(services[number % 2], address) for number in range(LIMIT + 3))
        assert codes == {200: LIMIT, 429: 3}


def test_masters_that_fail_do_not_close_the_shop(redis_cluster: RedisCluster) -> None:
    """Meanwhile each process counts alone."""
    service = service_on(redis_cluster.new_url())
    assert {ask(service, address) for address in ADDRESSES} == {200}
    for node in redis_cluster.nodes:
        node.kill()
    assert [ask(service, "192.0.2.99") for _ in range(LIMIT + 1)] == [200] * LIMIT + [429]
    redis_cluster.settle()


def test_service_starts_while_the_cluster_is_down() -> None:
    service = service_on("redis+cluster://127.0.0.1:1")
    assert [ask(service, "192.0.2.1") for _ in range(LIMIT + 1)] == [200] * LIMIT + [429]
