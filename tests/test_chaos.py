"""Real processes: four workers in two services, killed at random, with Stripe failing at random.

The long form is `make soak MINUTES=5`.
"""

from __future__ import annotations

import pytest

from tests.chaos import Chaos
from tests.servers import Postgres, Redis

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
