"""Calls under an idempotency key, and whether their answer was a saved one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from payment_service.gateways.calls import Answer, Call
from payment_service.gateways.deadline import Deadline

# The largest difference between our clock and Stripe's that StripeClock does not know: a clock is
# corrected between a send and its look-up, or another machine of the service sent.
CLOCK_SKEW_SECONDS = 30.0

# Sent as a header: docs.stripe.com/api/idempotent_requests.
_KEY = re.compile("[ -~]{1,255}")


class KeyedCalls(Struct, frozen=True):
    """Builds the calls whose second execution would cost money."""

    clock: Callable[[], float]

    def call(
        self,
        path: str,
        params: Mapping[str, Any],
        key: str,
        api_version: str,
        deadline: Deadline,
    ) -> Call:
        """Return the call. Raises ValueError for an invalid key."""
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError("an idempotency key is 1 to 255 printable ASCII characters")
        call = Call("post", path, params, key, api_version)
        # If the machine was suspended during the call, the key is older than we think.
        latest = self.clock() + deadline.left() + CLOCK_SKEW_SECONDS
        call.may_send = lambda: self.clock() <= latest
        return call


def is_replay(answer: Answer) -> bool:
    """Whether Stripe returned the saved answer of the key's first use."""
    return answer.headers.get("idempotent-replayed") == "true"
