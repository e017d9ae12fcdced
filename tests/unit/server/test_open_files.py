"""How many orders at a time a limit of open files allows."""

from __future__ import annotations

import pytest

from payment_service.server.open_files import (
    OF_A_REQUEST,
    OF_A_WORKER,
    SPARE_THREADS,
    idle_connections,
    most_in_flight,
)


@pytest.mark.parametrize(
    ("limit", "orders"), [(256, 1), (512, 48), (1024, 144), (4096, 912), (20_000, 4888)]
)
def test_a_limit_allows_so_many_orders(limit: int, orders: int) -> None:
    assert most_in_flight(limit) == orders


@pytest.mark.parametrize("limit", range(384, 5000, 37))
def test_all_files_together_stay_below_the_limit(limit: int) -> None:
    threads = most_in_flight(limit) + SPARE_THREADS
    assert OF_A_WORKER + idle_connections(limit) + OF_A_REQUEST * threads <= limit
