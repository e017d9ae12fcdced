"""The index of what is due: a sorted set that may say too much, and never too little.

In a cluster the set and a record live on different machines, so no script can write both. An
entry's score is at or before its record's `due_at`; whoever reads it looks at the record.
"""

from __future__ import annotations

from typing import Any

from redis import Redis

from payment_service.key_store.contract import KeyRecord
from payment_service.key_store.order_key import order_key
from payment_service.key_store.redis.pipeline import Command
from payment_service.key_store.statements import statement

DUE = "payment:due"


def entry_of(record: KeyRecord) -> Command:
    """Make the entry of a record that is due at some time; to be sent before it and after it.

    Before, as a crash in between must leave an entry too many rather than one too few. And
    again after: a reader who saw the entry first and no record may have dropped it.
    """
    return ("ZADD", DUE, "LT", record.due_at or 0.0, order_key(record.order))


class DueIndex:
    """Which orders are due, by their `order_key`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._settle = redis.register_script(statement("redis", "settle_due.lua"))

    def entries(self, now: float, limit: int) -> list[tuple[str, float]]:
        """Return at most `limit` keys and scores up to `now`, lowest first."""
        found: Any = self._redis.zrange(
            DUE, "-inf", repr(now), byscore=True, offset=0, num=limit, withscores=True
        )
        return [(key.decode(), score) for key, score in found]

    def settle(self, key: str, score: float, record: KeyRecord | None) -> None:
        """Put an entry right that its record contradicts, unless it was written meanwhile."""
        due_at = None if record is None else record.due_at
        self._settle([DUE], [key, repr(score), "" if due_at is None else repr(float(due_at))])
