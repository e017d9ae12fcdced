"""How far Stripe's clock is ahead of ours, by the Date header of its answers."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

from payment_service.http_client.connection import Response


class StripeClock:
    """Remembers Stripe's last Date; shared by all threads. `clock` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: tuple[str, float] | None = None

    def note(self, response: Response) -> None:
        """Keep the answer's Date. It is parsed only when a look-up needs it."""
        date = response.headers.get("date")
        if date is not None:
            self._last = (date, self._clock())

    def ahead(self) -> float:
        """Return the difference in seconds; 0 if Stripe has not told it.

        Too small by the time that the answer took, and by up to a second.
        """
        if self._last is None:
            return 0.0
        date, received_at = self._last
        try:
            return parsedate_to_datetime(date).timestamp() - received_at
        except (ValueError, OverflowError):
            return 0.0
