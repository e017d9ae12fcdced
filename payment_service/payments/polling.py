"""Wait with back-off while another request or process holds a lease."""

from __future__ import annotations

import math

from msgspec import Struct

from payment_service.errors import InFlight
from payment_service.gateways.deadline import Deadline
from payment_service.payments.context import Context

# First wait, growth, cap. A creation takes 0.3 s, a capture or a refund a second or two.
FIRST_POLL_SECONDS, POLL_GROWTH, MOST_POLL_SECONDS = 0.05, 1.6, 0.5


class Polling(Struct):
    """The waits of one request. `seconds`: how long the next one takes."""

    context: Context
    deadline: Deadline
    seconds: float = FIRST_POLL_SECONDS

    def wait(self, message: str, at_most: float = math.inf) -> float:
        """Sleep once, for `at_most` seconds; return how long.

        Raises InFlight with the message if no time is left for another read of the store.
        """
        seconds = min(self.seconds, at_most)
        if self.deadline.left() <= seconds:
            raise InFlight(message)
        self.context.sleep(seconds)
        self.seconds = min(self.seconds * POLL_GROWTH, MOST_POLL_SECONDS)
        return seconds

    def check_time_to_send(self) -> None:
        """Raise InFlight if too little time is left to send and to record the outcome."""
        if self.deadline.left() <= self.context.timing.store:
            raise InFlight("There is no time left to do this now; ask again.")
