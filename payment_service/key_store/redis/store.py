"""The Redis store: one hash per order, and one script per operation, which also writes the lists.

Records never expire: only `forget` deletes one. Redis can lose records if it is configured to evict
keys or if it loses its data.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from redis import ConnectionPool, RedisError
from redis.exceptions import NoPermissionError

from payment_service.key_store.contract import (
    KeyRecord,
    Order,
    Position,
    Selection,
    State,
    StoreUnavailable,
)
from payment_service.key_store.group_commit import GroupCommit
from payment_service.key_store.health import Health
from payment_service.key_store.listing import page_of
from payment_service.key_store.order_key import order_key, order_of
from payment_service.key_store.redis.due import DueIndex, entry_of
from payment_service.key_store.redis.faults import cause_of
from payment_service.key_store.redis.listing import LISTS, Lists
from payment_service.key_store.redis.opening import open_servers
from payment_service.key_store.redis.pipeline import Pipeline
from payment_service.key_store.redis.record import FIELDS, PREFIX, as_fields, as_record, record_key
from payment_service.key_store.redis.script import Command, ListEntry, Script, ScriptCall
from payment_service.key_store.redis.servers import WrongServerError
from payment_service.key_store.statements import statement

# Whether a search has listed the records of earlier releases.
COMPLETE = f"{LISTS}:complete"

# Keys per SCAN call: about a millisecond of the server's only thread.
SCAN_KEYS = 500

# How often to read the due entries again after correcting some of them.
MAX_DUE_ROUNDS = 20

# The interval between batches under load.
PACE_SECONDS = 0.002

# A batch that takes longer has a bad connection: start another, up to this many at the same time.
LATE_SECONDS, MAX_CONCURRENT_BATCHES = 0.25, 2

# A scan starts again if a slot may have moved to a server that it had read already.
MAX_SCANS = 3

SCRIPTS = ("claim", "replace", "forget", "ping")

log = logging.getLogger(__name__)


class RedisStore:
    """KeyStore in Redis 6.2 or newer. If it is down at the start, each operation tries again."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._servers, wait_replicas = open_servers(url, timeout_seconds)
        self._pipeline = Pipeline(self._servers, wait_replicas)
        self._due = DueIndex(self._pipeline)
        self._lists = Lists(self._pipeline, self._read_all, is_one=self._servers.is_one)
        self._scripts = {name: Script.of(statement("redis", f"{name}.lua")) for name in SCRIPTS}
        self._health = Health("Redis")
        self._timeout_seconds = timeout_seconds
        # One for each server, so that a server that hangs delays only its own orders.
        self._writes: dict[ConnectionPool, GroupCommit[ScriptCall, Any]] = {}
        self._lock = threading.Lock()
        # The log has the cause; the server may become usable later.
        with suppress(StoreUnavailable):
            self._warn_of_data_loss()

    def claim(self, record: KeyRecord) -> KeyRecord:
        listed = self._lists.entry(None, record)
        values = (*as_fields(record), *listed.values[:2])
        held = self._write("claim", record, values, listed)
        return record if held is None else as_record(record.order, held)

    def read(self, order: Order) -> KeyRecord | None:
        (held,) = self._read_all([order_key(order)])
        return held

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        listed = self._lists.entry(current, new)
        values = (current.owner, current.version, *as_fields(new), *listed.values)
        return bool(self._write("replace", new, values, listed))

    def forget(self, current: KeyRecord) -> bool:
        listed = self._lists.entry(current, None)
        values = (current.owner, current.version, listed.member)
        key = record_key(current.order)
        return bool(self._run(ScriptCall(self._scripts["forget"], key, values, listed=listed)))

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        due: list[KeyRecord] = []
        for _ in range(MAX_DUE_ROUNDS):
            with self._translated_errors():
                entries = self._due.entries(now, limit, self._give_up_at())
            due = self._due_of(entries)
            # A corrected entry may now be anywhere in the set, so start over.
            if len(due) == len(entries):
                break
        return due

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        """Remember the keys seen so far, because SCAN may return a key twice."""
        seen: set[str] = set()
        for _ in range(MAX_SCANS):
            pools = self._pools()
            slots = self._slots(pools)
            for pool in pools:
                for keys in self._keys(pool):
                    records = self._read_all(keys - seen)
                    seen |= keys
                    yield from (r for r in records if r is not None and state in (None, r.state))
            if self._servers.is_one or self._stayed(slots):
                return

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        def fetch(end: Position, most: int) -> list[KeyRecord]:
            with self._translated_errors():
                return self._lists.fetch(selection, end, most, self._give_up_at())

        return page_of(selection, limit, before, fetch)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:
        """Search all records, unless a search has been completed before."""
        if not again and self._read_one(("GET", COMPLETE)) is not None:
            return
        records = self.scan()
        while some := list(islice(records, SCAN_KEYS)):
            with self._translated_errors():
                lacking = self._lists.lacking(some, self._give_up_at())
            yield from lacking
        self._read_one(("SET", COMPLETE, 1))

    def ping(self) -> None:
        self._run(ScriptCall(self._scripts["ping"], PREFIX, ()))

    def close(self) -> None:
        self._servers.close()

    def _write(
        self, name: str, record: KeyRecord, values: tuple[Any, ...], listed: ListEntry
    ) -> Any:
        around = None if record.due_at is None else entry_of(record)
        key = record_key(record.order)
        return self._run(ScriptCall(self._scripts[name], key, values, around, listed))

    def _run(self, call: ScriptCall) -> Any:
        answer = self._group(call.key).do(call, self._give_up_at())
        if isinstance(answer, RedisError):
            raise self._failed(answer) from answer
        self._health.answered()
        return answer

    def _group(self, key: str) -> GroupCommit[ScriptCall, Any]:
        try:
            pool = self._servers.pool_of(key)
        except RedisError as error:
            raise self._failed(error) from error
        known = self._writes.get(pool)
        if known is not None:
            return known
        with self._lock:
            if pool not in self._writes:
                self._writes[pool] = GroupCommit(
                    self._pipeline.run,
                    pace_seconds=PACE_SECONDS,
                    late_seconds=LATE_SECONDS,
                    max_concurrent=MAX_CONCURRENT_BATCHES,
                )
            return self._writes[pool]

    def _due_of(self, entries: list[tuple[str, float]]) -> list[KeyRecord]:
        due = []
        records = self._read_all(key for key, _ in entries)
        for (key, score), record in zip(entries, records, strict=True):
            if record is not None and record.due_at == score:
                due.append(record)
            else:
                self._due.settle(key, score, record, self._give_up_at())
        return due

    def _read_all(self, keys: Iterable[str]) -> list[KeyRecord | None]:
        keys = list(keys)
        with self._translated_errors():
            commands = [(PREFIX + key, ("HMGET", PREFIX + key, *FIELDS)) for key in keys]
            answers = zip(keys, self._pipeline.read(commands, self._give_up_at()), strict=True)
        return [as_record(order_of(key), held) if held[2] else None for key, held in answers]

    def _read_one(self, command: Command) -> Any:
        with self._translated_errors():
            return self._pipeline.read([(str(command[1]), command)], self._give_up_at())[0]

    def _pools(self) -> list[ConnectionPool]:
        with self._translated_errors():
            return self._servers.pools()

    def _slots(self, pools: list[ConnectionPool]) -> dict[ConnectionPool, list[str]]:
        """Return each master's slots, and in brackets those that migrate."""
        if self._servers.is_one:
            return {}
        found = {}
        for pool in pools:
            with self._translated_errors():
                nodes = self._pipeline.read_from(pool, ("CLUSTER", "NODES"), self._give_up_at())
            lines = [line.split() for line in nodes.decode().splitlines()]
            found[pool] = next(line[8:] for line in lines if "myself" in line[2])
        return found

    def _stayed(self, before: dict[ConnectionPool, list[str]]) -> bool:
        """Whether no key can have moved to another master since."""
        self._servers.mistrust()
        now = self._slots(self._pools())
        return now == before and not any("[" in slot for slots in now.values() for slot in slots)

    def _keys(self, pool: ConnectionPool) -> Iterator[set[str]]:
        cursor: Any = b"0"
        while True:
            with self._translated_errors():
                command = ("SCAN", cursor, "MATCH", f"{PREFIX}*", "COUNT", SCAN_KEYS)
                cursor, named = self._pipeline.read_from(pool, command, self._give_up_at())
            yield {key.decode().removeprefix(PREFIX) for key in named}
            if cursor == b"0":
                return

    def _warn_of_data_loss(self) -> None:
        for pool in self._pools():
            memory, persistence = self._info(pool, "memory"), self._info(pool, "persistence")
            if (
                memory.get("maxmemory", "0") != "0"
                and memory.get("maxmemory_policy") != "noeviction"
            ):
                log.warning("Redis may evict orders: set its maxmemory-policy to noeviction")
            if persistence.get("aof_enabled") == "0":
                log.warning("Redis may lose orders when it stops: set its appendonly to yes")

    def _info(self, pool: ConnectionPool, section: str) -> dict[str, str]:
        with self._translated_errors():
            try:
                found = self._pipeline.read_from(pool, ("INFO", section), self._give_up_at())
            except NoPermissionError:
                return {}
        text = found.decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def _give_up_at(self) -> float:
        return time.monotonic() + self._timeout_seconds

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            raise self._failed(error) from error

    def _failed(self, error: RedisError) -> StoreUnavailable:
        return self._health.failed(cause_of(error), error)


def refuse_unusable(url: str, timeout_seconds: float) -> None:
    """Raise ValueError if the server is of another kind than the URL says, or too old."""
    servers, _ = open_servers(url, timeout_seconds)
    try:
        servers.pool_of(PREFIX).get_connection()
    except WrongServerError as wrong:
        raise ValueError(str(wrong)) from None
    except RedisError:
        return
    finally:
        servers.close()
