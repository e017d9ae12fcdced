"""The index of due records: a sorted set that may hold too many entries, but never too few.

In a cluster the set and a record live on different machines, so no script can write both. An
entry's score is at or before its record's `due_at`; readers check the record itself.
"""

from __future__ import annotations

from payment_service.key_store.contract import KeyRecord
from payment_service.key_store.order_key import order_key
from payment_service.key_store.redis.pipeline import Pipeline
from payment_service.key_store.redis.script import Command, Script, ScriptCall
from payment_service.key_store.statements import statement

DUE = "payment:due"


def entry_of(record: KeyRecord) -> Command:
    """Return the command that indexes a due record, to be sent both before and after the record.

    Before, because a crash in between must leave a superfluous entry rather than a missing one.
    After, because a reader that found the entry without its record may have removed it.
    """
    return ("ZADD", DUE, "LT", record.due_at or 0.0, order_key(record.order))


class DueIndex:
    """The due orders, by their `order_key`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._settle = Script.of(statement("redis", "settle.lua"))

    def entries(self, now: float, limit: int, give_up_at: float) -> list[tuple[str, float]]:
        """Return at most `limit` keys and scores up to `now`, lowest first."""
        command = ("ZRANGE", DUE, "-inf", repr(now), "BYSCORE", "LIMIT", 0, limit, "WITHSCORES")
        (found,) = self._pipeline.read([(DUE, command)], give_up_at)
        return [
            (key.decode(), float(score)) for key, score in zip(found[::2], found[1::2], strict=True)
        ]

    def settle(self, key: str, score: float, record: KeyRecord | None, give_up_at: float) -> None:
        """Correct an entry that contradicts its record, unless it changed in the meantime."""
        due_at = None if record is None else record.due_at
        values = (key, repr(score), "" if due_at is None else repr(float(due_at)))
        self._pipeline.run([ScriptCall(self._settle, DUE, values)], give_up_at)
