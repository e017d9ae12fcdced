"""Four workers in two services, killed at random, while Stripe fails at random.

The long form is `make soak MINUTES=5`.
"""

from __future__ import annotations

import pytest

from tests.proof.chaos import SEARCH_LAGS_SECONDS, Chaos
from tests.proof.gateway_chaos import GatewayChaos
from tests.support.servers import Postgres, Redis

SECONDS = 5


@pytest.mark.parametrize("server", [Postgres, Redis])
def test_chaos_yields_no_duplicate_and_no_unanswered_order(
    server: type[Postgres] | type[Redis],
) -> None:
    with server() as store, Chaos(store) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.orders > 5
    assert (tally.two_payable, tally.two_given, tally.unanswered) == ([], [], [])
    assert tally.counts["answers: 200"] >= tally.orders


@pytest.mark.parametrize("lag_seconds", SEARCH_LAGS_SECONDS)
def test_forgetful_store_returns_no_second_payable_intent(lag_seconds: float) -> None:
    with (
        Redis() as store,
        Chaos(store, forgetful=True, search_lag_seconds=lag_seconds) as chaos,
    ):
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.counts["trouble: a record is lost"]
    # The reconciler handles PaymentIntents without a record; no client received their secret.
    assert (tally.two_given, tally.unanswered) == ([], [])


@pytest.mark.parametrize(
    ("server", "forgetful"), [(Postgres, False), (Redis, False), (Postgres, True)]
)
def test_chaos_refunds_nothing_twice(server: type[Postgres] | type[Redis], forgetful: bool) -> None:
    with server() as store, Chaos(store, forgetful=forgetful, refunds=True) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.counts["refunds: 200"] > 5
    assert (tally.refunded_twice, tally.refunds_left) == ([], [])
    assert (tally.two_given, tally.unanswered) == ([], [])


@pytest.mark.parametrize("server", [Postgres, Redis])
def test_chaos_at_two_gateways_yields_one_payment_for_each_order(
    server: type[Postgres] | type[Redis],
) -> None:
    with server() as store, GatewayChaos(store) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.orders > 5
    assert (tally.two_payments, tally.unanswered) == ([], [])
    assert (tally.uncaptured, tally.leftovers) == ([], [])
    assert tally.counts["orders captured at PayPal"]
