"""The Redis store: one hash per order, one script per operation.

Records never expire: only `forget` deletes one. Redis can lose records if it is configured to evict
keys or if it loses its data.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

from redis import BlockingConnectionPool, Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from payment_service.key_store.contract import KeyRecord, Order, State, StoreUnavailable
from payment_service.key_store.group_commit import GroupCommit
from payment_service.key_store.order_key import order_key, order_of
from payment_service.key_store.redis.due import DUE, DueIndex, entry_of
from payment_service.key_store.redis.pipeline import Pipeline, Script, ScriptCall
from payment_service.key_store.redis.record import FIELDS, as_fields, as_record
from payment_service.key_store.statements import statement

PREFIX = "payment:order:"

# Connections per process; an operation holds one for a fraction of a millisecond.
POOL_SIZE = 20

# Keys per SCAN call: about a millisecond of the server's only thread.
SCAN_KEYS = 500

# How often to read the due entries again after correcting some of them.
MAX_DUE_ROUNDS = 20

# The interval between batches under load.
PACE_SECONDS = 0.002

# A batch that takes longer has a bad connection: start another, up to this many at the same time.
LATE_SECONDS, MAX_CONCURRENT_BATCHES = 0.25, 2

NO_ANSWER = "Redis did not answer, or not in time"

SCRIPTS = ("claim", "replace", "forget")

log = logging.getLogger(__name__)


class RedisStore:
    """KeyStore in Redis 6.2 or newer. If it is down at the start, each operation tries again."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        self._redis = open_redis(url, timeout_seconds)
        self._due = DueIndex(self._redis)
        self._scripts = {name: Script.of(statement("redis", f"{name}.lua")) for name in SCRIPTS}
        self._pipeline = Pipeline(self._redis)
        self._timeout_seconds = timeout_seconds
        self._writes = GroupCommit(
            self._write_together,
            pace_seconds=PACE_SECONDS,
            late_seconds=LATE_SECONDS,
            max_concurrent=MAX_CONCURRENT_BATCHES,
        )
        try:
            self._warn_of_data_loss()
        except StoreUnavailable:
            log.warning("Redis does not answer yet: no order is taken until it does")

    def claim(self, record: KeyRecord) -> KeyRecord:
        held = self._write("claim", record, as_fields(record))
        return record if held is None else as_record(record.order, held)

    def read(self, order: Order) -> KeyRecord | None:
        with _translated_errors():
            held: Any = self._redis.hmget(_key(order), FIELDS)
        return as_record(order, held) if held[2] is not None else None

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        values = (current.owner, current.version, *as_fields(new))
        return bool(self._write("replace", new, values))

    def forget(self, current: KeyRecord) -> bool:
        call = ScriptCall(
            self._scripts["forget"], _key(current.order), (current.owner, current.version)
        )
        return bool(self._run(call))

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        due: list[KeyRecord] = []
        with _translated_errors():
            for _ in range(MAX_DUE_ROUNDS):
                entries = self._due.entries(now, limit)
                due = self._due_of(entries)
                # A corrected entry may now be anywhere in the set, so start over.
                if len(due) == len(entries):
                    break
        return due

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        """Remember the keys seen so far, because SCAN may return a key twice."""
        seen: set[str] = set()
        cursor: Any = None
        named: Any
        while cursor != 0:
            with _translated_errors():
                cursor, named = self._redis.scan(cursor or 0, f"{PREFIX}*", SCAN_KEYS)
                keys = {key.decode().removeprefix(PREFIX) for key in named} - seen
                records = self._read_all(keys)
            seen |= keys
            yield from (r for r in records if r is not None and state in (None, r.state))

    def ping(self) -> None:
        with _translated_errors():
            self._redis.exists(DUE)

    def close(self) -> None:
        self._redis.connection_pool.disconnect()

    def _write(self, name: str, record: KeyRecord, values: tuple[Any, ...]) -> Any:
        around = None if record.due_at is None else entry_of(record)
        return self._run(ScriptCall(self._scripts[name], _key(record.order), values, around))

    def _run(self, call: ScriptCall) -> Any:
        answer = self._writes.do(call, time.monotonic() + self._timeout_seconds)
        if isinstance(answer, RedisError):
            raise StoreUnavailable(NO_ANSWER) from answer
        return answer

    def _write_together(self, calls: Sequence[ScriptCall], give_up_at: float) -> list[Any]:
        with _translated_errors():
            return self._pipeline.run(calls, give_up_at)

    def _due_of(self, entries: list[tuple[str, float]]) -> list[KeyRecord]:
        due = []
        records = self._read_all(key for key, _ in entries)
        for (key, score), record in zip(entries, records, strict=True):
            if record is not None and record.due_at == score:
                due.append(record)
            else:
                self._due.settle(key, score, record)
        return due

    def _read_all(self, keys: Iterable[str]) -> list[KeyRecord | None]:
        keys = list(keys)
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            pipe.hmget(PREFIX + key, FIELDS)
        answers = zip(keys, pipe.execute(), strict=True)
        return [as_record(order_of(key), held) if held[2] else None for key, held in answers]

    def _warn_of_data_loss(self) -> None:
        with _translated_errors():
            memory: Any = self._redis.info("memory")
            persistence: Any = self._redis.info("persistence")
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            log.warning("Redis may evict orders: set its maxmemory-policy to noeviction")
        if not persistence.get("aof_enabled"):
            log.warning("Redis may lose orders when it stops: set its appendonly to yes")


def _key(order: Order) -> str:
    return PREFIX + order_key(order)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise StoreUnavailable(NO_ANSWER) from error


def _check_url(url: SplitResult) -> None:
    """Raise ValueError for errors that the driver ignores, or notices only on connecting."""
    if not re.fullmatch("(/[0-9]*)?", url.path) or url.fragment or url.port == 0:
        raise ValueError
    if not re.fullmatch("[!-~]*", url.hostname or ""):
        raise ValueError


def open_redis(url: str, timeout_seconds: float) -> Redis:
    """Make a client that connects on first use. Raises ValueError, which never shows the URL.

    Each wait gets half the time-out, so that connecting and waiting for the answer stay within it.
    """
    half = timeout_seconds / 2
    try:
        _check_url(urlsplit(url))
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=POOL_SIZE,
            timeout=half,
            socket_timeout=half,
            socket_connect_timeout=half,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        # Overrides the URL: records are UTF-8, and are read as bytes.
        pool.connection_kwargs.update(
            encoding="utf-8", encoding_errors="strict", decode_responses=False
        )
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, RedisError):
        raise ValueError(
            "a redis URL is redis://user:password@host:6379/0, or rediss:// for TLS; "
            "percent-encode special characters in the password"
        ) from None
    return Redis(connection_pool=pool)
