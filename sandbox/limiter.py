"""Stripe's rate limiter: requests per second and account, checked before idempotency."""

from __future__ import annotations

from sandbox.answers import Refusal, refusal
from sandbox.authentication import Account

_RATE_MESSAGE = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
_LOCK_MESSAGE = (
    "This object cannot be accessed right now because another API request or Stripe process is "
    "currently accessing it. If you see this error intermittently, retry the request."
)


class Limiter:
    """A token bucket of one second for each account; `per_second` 0 means no limit."""

    def __init__(self, per_second: float = 0) -> None:
        self.per_second = per_second
        self._buckets: dict[Account, tuple[float, float]] = {}

    def admit(self, account: Account, now: float) -> None:
        """Take one token, or raise 429."""
        if not self.per_second:
            return
        places, at = self._buckets.get(account, (self.per_second, now))
        places = min(self.per_second, places + max(0.0, now - at) * self.per_second)
        self._buckets[account] = (max(0.0, places - 1), now)
        if places < 1:
            raise rate_limited(None)

    def copy(self) -> Limiter:
        """Return an independent copy."""
        twin = Limiter(self.per_second)
        twin._buckets = self._buckets.copy()
        return twin


def rate_limited(retry_after: float | None) -> Refusal:
    """429 rate_limit, with `Retry-After` if it is known."""
    headers = {"Stripe-Rate-Limited-Reason": "global-rate"} | _retry_after(retry_after)
    return refusal(_RATE_MESSAGE, status=429, code="rate_limit", headers=headers)


def lock_timeout(retry_after: float | None) -> Refusal:
    """429 lock_timeout: another request holds the object; Stripe advises a retry."""
    headers = {"Stripe-Should-Retry": "true"} | _retry_after(retry_after)
    return refusal(_LOCK_MESSAGE, status=429, code="lock_timeout", headers=headers)


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}
