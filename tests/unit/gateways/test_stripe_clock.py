"""The difference between Stripe's clock and ours."""

from __future__ import annotations

import pytest

from payment_service.gateways.stripe.stripe_clock import StripeClock
from payment_service.http_client.connection import Response

# Sun, 06 Nov 1994 08:49:37 GMT
STRIPES = 784_111_777.0
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({"date": DATE}, 120.0),
        ({}, 0.0),
        ({"date": "soon"}, 0.0),
        ({"date": "1 Jan 99999999999999999999 00:00:00 GMT"}, 0.0),
    ],
)
def test_difference_comes_from_the_last_date(headers: dict[str, str], ahead: float) -> None:
    clock = StripeClock(lambda: STRIPES - 120.0)
    assert clock.ahead() == 0.0
    clock.note(Response(500, headers, b""))
    assert clock.ahead() == ahead


def test_answer_without_a_date_changes_nothing() -> None:
    clock = StripeClock(lambda: STRIPES + 7.0)
    clock.note(Response(200, {"date": DATE}, b""))
    clock.note(Response(200, {}, b""))
    assert clock.ahead() == -7.0
