"""The lists that pages are read from: sorted sets of orders by `updated_at`.

Each order is in one set of its mode and one of its client, by its status, and in one set of alarms
if it has an `alarm_at`. On one server, a record's script writes its sets. In a cluster no script
can: there the sets are divided into shards, so that an order's sets are on the server that has its
record (unless a range of slots ends within the shard). A set may hold superfluous entries, whose
score may be too high; readers check the record itself.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from msgspec import Struct
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from payment_service.key_store.contract import KeyRecord, Position, Selection
from payment_service.key_store.listing import lowest_of
from payment_service.key_store.order_key import client_key, mode_key, order_key
from payment_service.key_store.redis.pipeline import Pipeline
from payment_service.key_store.redis.record import record_key
from payment_service.key_store.redis.script import Command, ListEntry, Script, ScriptCall
from payment_service.key_store.statements import statement

LISTS, ALARM = "payment:list", "alarm"

# A page reads every shard of its lists, so few; and a cluster has rarely more masters.
SHARDS = 64

ReadAll = Callable[[Sequence[str]], Sequence[KeyRecord | None]]


class _Entry(Struct, frozen=True, order=True):
    score: float
    member: bytes
    name: str

    @property
    def position(self) -> Position:
        return Position(self.score, self.member)


class Lists:
    """The lists of one Redis server, or of a cluster."""

    def __init__(self, pipeline: Pipeline, read_all: ReadAll, *, is_one: bool) -> None:
        self._pipeline, self._read_all = pipeline, read_all
        self._tags = ("0",) if is_one else _tags()
        self._settle = Script.of(statement("redis", "settle.lua"))

    def entry(self, old: KeyRecord | None, new: KeyRecord | None) -> ListEntry:
        """Return the change of the lists by the write of a record; `new` is None if deleted."""
        before, added = (self._names(each) if each else () for each in (old, new))
        record = new or old
        assert record
        removed = tuple(name for name in before if name not in added)
        return ListEntry(order_key(record.order), record.updated_at, removed, added)

    def fetch(
        self, selection: Selection, end: Position, most: int, give_up_at: float
    ) -> list[KeyRecord]:
        """Return at most `most` records of the selection's lists below `end`, highest first."""
        among, found = mode_key(selection.livemode), list[KeyRecord]()
        if selection.client_id is not None and selection.alarm_by is None:
            among = client_key(selection.livemode, selection.client_id)
        kinds = selection.statuses if selection.alarm_by is None else (ALARM,)
        names = [_name(tag, among + kind) for tag in self._tags for kind in kinds]
        while len(found) < most:
            entries = self._entries(names, end, lowest_of(selection), most, give_up_at)
            records, lowered = self._records_of(entries, give_up_at)
            if lowered and time.monotonic() < give_up_at:
                continue
            found += records
            if len(entries) < most:
                break
            end = entries[-1].position
        return found[:most]

    def lacking(self, records: Sequence[KeyRecord], give_up_at: float) -> list[KeyRecord]:
        """Return the records that an earlier release wrote last, or that their list lacks."""
        keys = [record_key(each.order) for each in records]
        names = [self._names(each)[0] for each in records]
        commands: list[tuple[str, Command]] = [
            *((key, ("HMGET", key, "version", "listed")) for key in keys),
            *(
                (name, ("ZSCORE", name, order_key(each.order)))
                for name, each in zip(names, records, strict=True)
            ),
        ]
        answers = self._pipeline.read(commands, give_up_at)
        versions, scores = answers[: len(records)], answers[len(records) :]
        return [
            each
            for each, (version, listed), score in zip(records, versions, scores, strict=True)
            if version != listed or score is None or float(score) != each.updated_at
        ]

    def _names(self, record: KeyRecord) -> tuple[str, ...]:
        tag = self._tags[0]
        if len(self._tags) > 1:
            slot = key_slot(record_key(record.order).encode())
            tag = self._tags[slot * SHARDS // REDIS_CLUSTER_HASH_SLOTS]
        order, status = record.order, record.listed_status
        names = [mode_key(order.livemode) + status]
        if order.client_id is not None:
            names.append(client_key(order.livemode, order.client_id) + status)
        if record.alarm_at is not None:
            names.append(mode_key(order.livemode) + ALARM)
        return tuple(_name(tag, each) for each in names)

    def _entries(
        self, names: Sequence[str], end: Position, lowest: float, most: int, give_up_at: float
    ) -> list[_Entry]:
        """Return the first `most` entries below `end` of all these sets, highest first."""

        def read(names: Sequence[str], offset: int) -> dict[str, list[_Entry]]:
            scores = (repr(end.updated_at), repr(lowest), "BYSCORE", "REV")
            limits = ("LIMIT", offset, most + 1, "WITHSCORES")
            commands = [(name, ("ZRANGE", name, *scores, *limits)) for name in names]
            answers = self._pipeline.read(commands, give_up_at)
            return {
                name: [_Entry(float(score), member, name) for member, score in _pairs(answer)]
                for name, answer in zip(names, answers, strict=True)
            }

        below: dict[str, list[_Entry]] = {name: [] for name in names}
        offset = 0
        while names:
            found = read(names, offset)
            for name, entries in found.items():
                below[name] += [each for each in entries if each.position < end]
            # The entries of one instant are read from the last one on, wherever the page begins.
            names = [n for n in names if len(found[n]) > most and len(below[n]) < most]
            offset += most + 1
        return heapq.nlargest(most, (entry for each in below.values() for entry in each))

    def _records_of(
        self, entries: Sequence[_Entry], give_up_at: float
    ) -> tuple[list[KeyRecord], bool]:
        """Return the records that are where their entries say; correct the other entries.

        Also return whether an entry is now lower, so that the list must be read again.
        """
        records, wrong = list[KeyRecord](), list[tuple[_Entry, KeyRecord | None]]()
        held = self._read_all([each.member.decode() for each in entries])
        for entry, record in zip(entries, held, strict=True):
            if record and record.updated_at == entry.score and entry.name in self._names(record):
                records.append(record)
            else:
                wrong.append((entry, record))
        if wrong:
            self._correct(wrong, give_up_at)
        return records, any(record and record.updated_at < e.score for e, record in wrong)

    def _correct(self, wrong: Sequence[tuple[_Entry, KeyRecord | None]], give_up_at: float) -> None:
        """Remove the entries or put them in their place, and list their records where they are."""
        calls, missing = [], list[tuple[str, Command]]()
        for entry, record in wrong:
            here = record is not None and entry.name in self._names(record)
            right = repr(record.updated_at) if record and here else ""
            values = (entry.member, repr(entry.score), right)
            calls.append(ScriptCall(self._settle, entry.name, values))
            if record:
                listed = self.entry(None, record).before()
                missing += [(name, command) for name, (command,) in listed]
        self._pipeline.run(calls, give_up_at)
        self._pipeline.read(missing, give_up_at)


@cache
def _tags() -> tuple[str, ...]:
    """Return a hash tag of each shard: the shards divide the slots into equal ranges."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < SHARDS:
        slot = key_slot(str(number).encode())
        found.setdefault(slot * SHARDS // REDIS_CLUSTER_HASH_SLOTS, str(number))
        number += 1
    return tuple(found[shard] for shard in range(SHARDS))


def _name(tag: str, kind: str) -> str:
    return f"{LISTS}:{{{tag}}}:{kind}"


def _pairs(answer: Sequence[Any]) -> Iterator[tuple[bytes, Any]]:
    return zip(answer[::2], answer[1::2], strict=True)
