"""The idempotency layer: it saves the first result under a key and replays it.

Source: docs.stripe.com/api/idempotent_requests and docs.stripe.com/error-low-level.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.answers import Answer, Refusal, refusal
from sandbox.form import Form

# "You can remove keys from the system automatically after they're at least 24 hours old."
KEEP_SECONDS = 24 * 3600

MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """The first use of a key, and its result once the request has finished."""

    endpoint: str
    params: Form
    first_used_at: float
    request_id: str
    answer: Answer | None = None


class IdempotencyKeys:
    """The keys of one account in one mode, oldest first."""

    def __init__(self) -> None:
        self._kept: dict[str, SavedAnswer] = {}

    def claim(
        self, key: str, endpoint: str, params: Form, now: float, request_id: str
    ) -> SavedAnswer | None:
        """Mark the key as in use and return None, or return the saved result.

        Raises 400 idempotency_error for a different endpoint or different parameters, and 409
        while the first request is executing.
        """
        check_length(key)
        self._prune(now)
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = SavedAnswer(endpoint, params, now, request_id)
            return None
        _same_use(kept, key, endpoint, params)
        if kept.answer is None:
            raise key_in_use(key)
        return kept

    def save(self, key: str, answer: Answer) -> None:
        """Save the result of the request that claimed the key."""
        first = self._kept[key]
        self._kept[key] = SavedAnswer(
            first.endpoint, first.params, first.first_used_at, first.request_id, answer
        )

    def release(self, key: str) -> None:
        """Release a claim whose endpoint never started to execute."""
        self._kept.pop(key, None)

    def copy(self) -> IdempotencyKeys:
        """Return a copy; it shares the saved results, which are immutable."""
        twin = IdempotencyKeys()
        twin._kept = self._kept.copy()
        return twin

    def __len__(self) -> int:
        return len(self._kept)

    def _prune(self, now: float) -> None:
        while self._kept:
            key, oldest = next(iter(self._kept.items()))
            if now - oldest.first_used_at < KEEP_SECONDS or oldest.answer is None:
                return
            del self._kept[key]


def check_length(key: str) -> None:
    """Reject a key that is too long for Stripe."""
    if len(key) > MAX_KEY:
        message = (
            f"Idempotency keys can be at most {MAX_KEY} characters long; yours has {len(key)}."
        )
        raise refusal(message, kind="idempotency_error")


def key_in_use(key: str) -> Refusal:
    """409: another request with this key is executing."""
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later."
    )
    return refusal(
        message,
        status=409,
        code="idempotency_key_in_use",
        headers={"Stripe-Should-Retry": "true"},
    )


def _same_use(kept: SavedAnswer, key: str, endpoint: str, params: Form) -> None:
    otherwise = f"Try using a key other than '{key}' if you meant to execute a different request."
    if kept.endpoint != endpoint:
        message = (
            "Keys for idempotent requests can only be used for the same endpoint they were first "
            f"used for ('{endpoint}' vs '{kept.endpoint}'). {otherwise}"
        )
        raise refusal(message, kind="idempotency_error")
    if kept.params != params:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. {otherwise}"
        )
        raise refusal(message, kind="idempotency_error")
