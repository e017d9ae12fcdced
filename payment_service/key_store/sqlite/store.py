"""The SQLite store: one file, shared by the threads and processes of one machine."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from payment_service.key_store.contract import (
    KeyRecord,
    Order,
    Position,
    Selection,
    State,
)
from payment_service.key_store.group_commit import GroupCommit
from payment_service.key_store.health import Health
from payment_service.key_store.listing import first_of, lowest_of, page_of
from payment_service.key_store.order_key import client_key, mode_key, order_key
from payment_service.key_store.row import UPDATED_AT, as_record, as_row
from payment_service.key_store.sqlite.connections import Connections
from payment_service.key_store.sqlite.retry import execute_with_retry
from payment_service.key_store.statements import statement

# Records that a scan reads per statement: it holds its lock for a few milliseconds at most.
PAGE_RECORDS = 500

# The interval between batches under load: about the time of a flush to disk.
PACE_SECONDS = 0.002

OPERATIONS = (
    "ping",
    "claim",
    "read",
    "replace",
    "forget",
    "due",
    "page",
    "list_client",
    "list_mode",
    "list_alarms",
    "unlisted",
)


def sqlite_path(url: str) -> str:
    """Return the path in sqlite:///keys.db (relative) or sqlite:////var/keys.db (absolute)."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path == ":memory:" or "?" in path:
        raise ValueError("a sqlite URL is sqlite:///keys.db or sqlite:////var/lib/keys.db")
    return path


def check_directory(path: str) -> None:
    """Raise ValueError if the file's directory does not exist."""
    if os.path.isdir(path) or not os.path.isdir(os.path.dirname(path) or "."):
        raise ValueError("a sqlite URL names a file in a directory that exists")


Write = tuple[str, Mapping[str, Any]]


class SqliteStore:
    """KeyStore in a file with a write-ahead log. Open it after a fork, not before.

    Without `durable`, writes survive a crash of the process, but not of the machine.
    """

    def __init__(self, path: str, *, timeout_seconds: float, durable: bool = True) -> None:
        self._timeout_seconds, self._durable = timeout_seconds, durable
        self._health = Health("SQLite")
        self._connections = Connections(
            path, self._health, timeout_seconds=timeout_seconds, durable=durable
        )
        self._sql = {name: statement("sqlite", f"{name}.sql") for name in OPERATIONS}
        # A write without a flush takes 0.02 ms, so batching would only delay it. Its threads still
        # take turns, because SQLite's busy handler sleeps for 1, 2, 5 ms and more.
        self._batches: GroupCommit[Write, int | None] | None = None
        self._turn = threading.Lock()
        if durable:
            self._batches = GroupCommit(self._write, pace_seconds=PACE_SECONDS)

    def claim(self, record: KeyRecord) -> KeyRecord:
        """Only the insert decides. Reading first saves a replay the wait for the disk."""
        row = as_row(record)
        held = self.read(record.order) if self._durable else None
        while held is None:
            if self._changes("claim", row):
                return record
            held = self.read(record.order)
        return held

    def read(self, order: Order) -> KeyRecord | None:
        rows = self._rows("read", {"key": order_key(order)})
        return as_record(rows[0]) if rows else None

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        return self._changes("replace", as_row(new) | _fence(current)) == 1

    def forget(self, current: KeyRecord) -> bool:
        return self._changes("forget", _fence(current)) == 1

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        return [as_record(row) for row in self._rows("due", {"now": now, "limit": limit})]

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        return (record for record in self._all("page") if state in (None, record.state))

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        """Read the first records of each status, and keep the first of all."""

        def fetch(end: Position, most: int) -> list[KeyRecord]:
            values = {"lowest": lowest_of(selection), "limit": most, "among": among}
            values |= {"updated_at": end.updated_at, "key": end.key.decode()}
            if selection.alarm_by is not None:
                return [as_record(row) for row in self._rows("list_alarms", values)]
            rows = (self._rows(name, values | {"status": each}) for each in selection.statuses)
            return first_of(((as_record(row) for row in each) for each in rows), most)

        name, among = "list_mode", mode_key(selection.livemode)
        if selection.client_id is not None and selection.alarm_by is None:
            name, among = "list_client", client_key(selection.livemode, selection.client_id)
        return page_of(selection, limit, before, fetch)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:  # noqa: ARG002 - of the contract
        return self._all("unlisted")

    def ping(self) -> None:
        if self._connections.has_opened:
            # A connection that is open may have become read-only with its file system.
            self._connections.refuse_read_only()
        self._rows("due", {"now": 0.0, "limit": 1})
        # A full disk shows only at a write: this one writes a number that nothing uses.
        self._changes("ping", {})

    def close(self) -> None:
        self._connections.close()

    def _all(self, name: str) -> Iterator[KeyRecord]:
        last: dict[str, Any] = {"after": "", "at": -math.inf}
        while rows := self._rows(name, {**last, "limit": PAGE_RECORDS}):
            yield from (as_record(row) for row in rows)
            last = {"after": rows[-1][0], "at": rows[-1][UPDATED_AT]}

    def _rows(self, name: str, values: Mapping[str, Any]) -> list[Any]:
        with self._connections.borrowed() as connection:
            return execute_with_retry(
                connection, self._sql[name], values, self._give_up_at()
            ).fetchall()

    def _changes(self, name: str, values: Mapping[str, Any]) -> int:
        """Run one statement in a shared transaction; run it alone if that one was rolled back."""
        write, give_up_at = (name, values), self._give_up_at()
        if self._batches is None:
            changed: int | None = self._write_serialized(write, give_up_at)
        else:
            changed = self._batches.do(write, give_up_at)
        if changed is None:
            changed = self._write_alone(write, give_up_at)
        self._health.answered()
        return changed

    def _write_serialized(self, write: Write, give_up_at: float) -> int:
        if not self._turn.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
            raise self._health.failed("busy", "the file was busy for too long")
        try:
            return self._write_alone(write, give_up_at)
        finally:
            self._turn.release()

    def _write(self, batch: Sequence[Write], give_up_at: float) -> Sequence[int | None]:
        """Return the rows that each write changed, after the commit; all None after a rollback."""
        if len(batch) == 1:
            return (self._write_alone(batch[0], give_up_at),)
        with self._connections.borrowed() as connection:
            execute_with_retry(connection, "BEGIN IMMEDIATE", (), give_up_at)
            try:
                done = [connection.execute(self._sql[name], values) for name, values in batch]
            except (sqlite3.Error, ValueError, OverflowError):
                connection.rollback()
                return [None] * len(batch)
            connection.execute("COMMIT")
            return [cursor.rowcount for cursor in done]

    def _write_alone(self, write: Write, give_up_at: float) -> int:
        name, values = write
        with self._connections.borrowed() as connection:
            return execute_with_retry(connection, self._sql[name], values, give_up_at).rowcount

    def _give_up_at(self) -> float:
        return time.monotonic() + self._timeout_seconds


def _fence(current: KeyRecord) -> dict[str, Any]:
    return {
        "key": order_key(current.order),
        "current_owner": current.owner,
        "current_version": current.version,
    }
