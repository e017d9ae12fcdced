"""Real processes: four workers in two services, killed at random, with Stripe failing at random.

The long form is `make soak MINUTES=5`.
"""

from __future__ import annotations

import pytest

from tests.proof.chaos import SEARCH_LAGS_SECONDS, Chaos
from tests.support.servers import Postgres, Redis

SECONDS = 5


@pytest.mark.parametrize("server", [Postgres, Redis])
def test_chaos_makes_no_second_payable_one_and_leaves_no_order_unanswered(
    server: type[Postgres] | type[Redis],
) -> None:
    with server() as store, Chaos(store) as chaos:
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.orders > 5
    assert (tally.two_payable, tally.two_given, tally.unanswered) == ([], [], [])
    assert tally.counts["answers: 200"] >= tally.orders


@pytest.mark.parametrize("lag_seconds", SEARCH_LAGS_SECONDS)
def test_a_store_that_forgets_gives_out_no_second_payable_one(lag_seconds: float) -> None:
    with (
        Redis() as store,
        Chaos(store, forgetful=True, search_lag_seconds=lag_seconds) as chaos,
    ):
        tally = chaos.run(SECONDS)
    print(tally.table())
    assert tally.counts["trouble: a record is lost"]
    # What no record asks to look for is the reconciler's: nobody was given its secret.
    assert (tally.two_given, tally.unanswered) == ([], [])
