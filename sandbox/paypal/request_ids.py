"""The request ids (PayPal-Request-Id) of all accounts, and what they led to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.paypal.refusals import Refusal
from sandbox.paypal.rules import Rules

MOST_CHARACTERS = 108

# Account, path and id: the same id at another path is another one.
Key = tuple[str, str, str]


@dataclass(slots=True)
class _Use:
    """The first use of an id. `made` is None while the request executes."""

    first_used_at: float
    made: str | None = None


class RequestIds:
    """Remembers each id for as long as the rules say."""

    def __init__(self, rules: Callable[[], Rules]) -> None:
        self._rules = rules
        self._uses: dict[Key, _Use] = {}

    def claim(self, account: str, path: str, request_id: str | None, now: float) -> Key:
        """Return the id's key. Raises a Refusal without an id, or if the id is in use."""
        if not request_id:
            raise Refusal(400, "PAYPAL_REQUEST_ID_REQUIRED")
        if len(request_id) > MOST_CHARACTERS:
            raise Refusal(400, "INVALID_STRING_LENGTH", field="PayPal-Request-Id")
        key, rules = (account, path, request_id), self._rules()
        use = self._uses.get(key)
        if use and use.made is None:
            raise Refusal(409 if rules.simultaneous == "409" else 500)
        of_refund = path.endswith("/refund")
        life = rules.refund_key_seconds if of_refund else rules.key_seconds
        if use and now >= use.first_used_at + life:
            del self._uses[key]
        return key

    def made_by(self, key: Key) -> str | None:
        """Return the id of the order or refund that the first use of this key led to."""
        return self._uses[key].made if key in self._uses else None

    def begin(self, key: Key, now: float) -> None:
        """Mark the id as in use."""
        self._uses[key] = _Use(now)

    def end(self, key: Key, made: str) -> None:
        """Remember the order or refund of a request that succeeded."""
        if key in self._uses:
            self._uses[key].made = made

    def release(self, key: Key) -> None:
        """Forget an id. PayPal does not say whether it keeps errors; this stand-in does not."""
        self._uses.pop(key, None)
