"""Four workers in two services, killed at random, while Stripe fails at random.

The long form is `make soak MINUTES=5`.
"""

from __future__ import annotations

import pytest

from tests.proof.chaos import SEARCH_LAGS_SECONDS, Chaos
from tests.proof.chaos_stores import STORES, RestartedRedis
from tests.proof.gateway_chaos import GatewayChaos

SECONDS = 5

FAILOVERS = [name for name in STORES if name not in ("postgresql", "redis")]


@pytest.mark.parametrize("name", ["postgresql", "redis", "redis-cluster"])
def test_chaos_yields_no_duplicate_and_no_unanswered_order(name: str) -> None:
    with STORES[name]() as store, Chaos(store) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.orders > 5
    assert (tally.two_given, tally.unanswered) == ([], [])
    assert not (tally.keeps and tally.two_payable)
    assert tally.counts["answers: 200"] >= tally.orders


@pytest.mark.parametrize("name", FAILOVERS)
def test_failover_under_load_makes_no_second_intent(name: str) -> None:
    """Within a day that holds for writes that the failover lost, too: Stripe knows the keys."""
    with STORES[name]() as store, Chaos(store, only_store=True) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.counts[f"trouble: {store.trouble}"]
    assert tally.orders > 50
    assert (tally.strays, tally.two_given, tally.unanswered) == ([], [], [])


@pytest.mark.parametrize("lag_seconds", SEARCH_LAGS_SECONDS)
def test_forgetful_store_returns_no_second_payable_intent(lag_seconds: float) -> None:
    with (
        RestartedRedis() as store,
        Chaos(store, forgetful=True, search_lag_seconds=lag_seconds) as chaos,
    ):
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.counts["trouble: a record is lost"]
    # The reconciler handles PaymentIntents without a record; no client received their secret.
    assert (tally.two_given, tally.unanswered) == ([], [])


@pytest.mark.parametrize(
    ("name", "forgetful"), [("postgresql", False), ("redis", False), ("postgresql", True)]
)
def test_chaos_refunds_nothing_twice(name: str, forgetful: bool) -> None:
    with STORES[name]() as store, Chaos(store, forgetful=forgetful, refunds=True) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.counts["refunds: 200"] > 5
    assert (tally.refunded_twice, tally.refunds_left) == ([], [])
    assert (tally.two_given, tally.unanswered) == ([], [])


@pytest.mark.parametrize("name", ["postgresql", "redis"])
def test_chaos_at_two_gateways_yields_one_payment_for_each_order(name: str) -> None:
    with STORES[name]() as store, GatewayChaos(store) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert (tally.two_payments, tally.unanswered) == ([], [])
    assert (tally.uncaptured, tally.leftovers) == ([], [])
    assert tally.counts["orders captured at PayPal"]
