"""Failures of a SQLite file: locks, full disks, broken files, permissions."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from payment_service.key_store import open_key_store, shared_memory_store
from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.row import as_row
from payment_service.key_store.sqlite.store import REPLACED, SqliteStore
from tests.support.key_stores import order, record

# Root ignores the file's permissions; this user does not.
NOBODY = 65534


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "keys.db"


def synchronous(store: object) -> int:
    assert isinstance(store, SqliteStore)
    (connection,) = store._idle
    level: int = connection.execute("PRAGMA synchronous").fetchone()[0]
    return level


def test_write_is_on_disk_when_it_returns(path: Path) -> None:
    store = open_key_store(f"sqlite:///{path}")
    store.claim(record())
    assert synchronous(store) == 2
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_shared_memory_file_is_never_flushed(path: Path) -> None:
    store = shared_memory_store(str(path))
    store.claim(record())
    assert synchronous(store) == 0
    store.close()


class ExclusiveWrites(sqlite3.Connection):
    """A connection that fails when two threads of this process write at once."""

    busy = threading.Lock()

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if not sql.lstrip().upper().startswith(("INSERT", "UPDATE")):
            return super().execute(sql, *values)
        assert self.busy.acquire(blocking=False)
        try:
            return super().execute(sql, *values)
        finally:
            self.busy.release()


def test_threads_take_turns_on_a_shared_memory_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a conflict, SQLite sleeps for milliseconds, while a write takes 0.02 ms."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=ExclusiveWrites))
    store = shared_memory_store(str(path), timeout_seconds=20.0)

    def write(number: int) -> bool:
        mine = record(f"A-{number}")
        return store.claim(mine) == mine and store.replace(mine, replace(mine, version=2))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(write, range(500)))
    store.close()


def test_waiting_for_a_turn_counts_against_the_time_out(path: Path) -> None:
    """A thread that gets the lock just before its time-out has no time left for the file."""
    store = shared_memory_store(str(path), timeout_seconds=0.4)
    store.claim(record())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def waited(number: int) -> float:
        time.sleep(number * 0.1)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.claim(record(f"B-{number}"))
        return time.monotonic() - began

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(waited, range(8))) < 0.6
    other.rollback()
    assert store.claim(record("B-1")) == record("B-1")
    store.close()


def test_file_is_readable_by_its_owner_only(path: Path) -> None:
    store = open_key_store(f"sqlite:///{path}")
    store.claim(record())
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    store.close()


def test_locked_file_is_waited_for_within_the_time_out(path: Path) -> None:
    store = open_key_store(f"sqlite:///{path}", timeout_seconds=0.2)
    store.claim(record())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store.claim(record("A-2"))
    assert 0.1 < time.monotonic() - began < 1.2
    assert store.read(order()) == record()
    assert store.claim(record(owner="second")) == record()
    other.execute("ROLLBACK")
    other.close()
    assert store.claim(record("A-2")) == record("A-2")
    store.close()


def test_no_waiting_thread_exceeds_the_time_out(path: Path) -> None:
    store = open_key_store(f"sqlite:///{path}", timeout_seconds=0.3)
    store.claim(record())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with ThreadPoolExecutor(30) as pool:
        claims = [pool.submit(store.claim, record(f"B-{number}")) for number in range(30)]
        assert {type(each.exception(20)) for each in claims} == {StoreUnavailable}
    assert time.monotonic() - began < 1.3
    other.close()
    assert {held.order.order_id for held in store.scan()} == {"A-1"}
    store.close()


def test_unwritable_record_fails_alone(path: Path) -> None:
    """The other operations of its batch succeed."""
    store = open_key_store(f"sqlite:///{path}", timeout_seconds=20)
    too_much = record("too much", attempt=2**70)
    with ThreadPoolExecutor(30) as pool:
        bad = [pool.submit(store.claim, too_much) for _ in range(10)]
        good = [pool.submit(store.claim, record(f"B-{number}")) for number in range(20)]
        assert {type(each.exception(20)) for each in bad} == {OverflowError}
        assert {each.result(20).order.order_id for each in good} == {f"B-{n}" for n in range(20)}
    store.close()


def test_batch_is_atomic(path: Path) -> None:
    store = SqliteStore(str(path), timeout_seconds=20)
    good, bad = as_row(record("A-1")), as_row(record("A-2", attempt=2**70))
    soon = time.monotonic() + 20
    assert store._write([("claim", good), ("claim", bad)], soon) == [None, None]
    assert list(store.scan()) == []
    assert store._write([("claim", good), ("claim", good)], soon) == [1, 0]
    assert list(store.scan()) == [record("A-1")]
    store.close()


def test_file_that_is_no_database_is_reported(path: Path) -> None:
    path.write_bytes(b"not a database, by any means" * 100)
    store = open_key_store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable):
        store.claim(record())
    with pytest.raises(StoreUnavailable):
        store.ping()
    store.close()


def test_missing_directory_may_be_created_later(path: Path) -> None:
    store = open_key_store(f"sqlite:///{path.parent / 'later' / 'keys.db'}")
    with pytest.raises(StoreUnavailable):
        store.ping()
    (path.parent / "later").mkdir()
    assert store.claim(record()) == record()
    store.close()


def claim_on_a_full_disk(path: str) -> None:
    store = SqliteStore(path, timeout_seconds=5)
    store.claim(record("A-1"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    with ThreadPoolExecutor(20) as pool:
        claims = [pool.submit(store.claim, record(f"B-{number}")) for number in range(20)]
        assert {type(each.exception(20)) for each in claims} == {StoreUnavailable}
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    store.claim(record("A-3"))
    store.close()


def test_full_disk_is_reported_and_breaks_nothing(path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=claim_on_a_full_disk, args=(str(path),)
    )
    process.start()
    process.join(30)
    assert process.exitcode == 0
    store = open_key_store(f"sqlite:///{path}")
    assert {held.order.order_id for held in store.scan()} == {"A-1", "A-3"}
    store.close()


def is_not_ready_as_nobody(path: str) -> None:
    if os.getuid() == 0:
        os.setuid(NOBODY)
    store = SqliteStore(path, timeout_seconds=5)
    with pytest.raises(StoreUnavailable):
        store.ping()


def test_read_only_file_is_not_ready() -> None:
    """As after a command that another user ran."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        path = Path(directory) / "keys.db"
        store = SqliteStore(str(path), timeout_seconds=5)
        store.claim(record())
        store.close()
        path.chmod(0o444)
        process = multiprocessing.get_context("spawn").Process(
            target=is_not_ready_as_nobody, args=(str(path),)
        )
        process.start()
        process.join(30)
        assert process.exitcode == 0


def read_in_another_process(path: Path) -> str:
    """As sqlite3 and the commands do: the last process to close the file deletes its log."""
    read = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute(sys.argv[2]))"
    command = [sys.executable, "-c", f"{read}; c.close()", str(path)]
    counted = [*command, "SELECT count(*) FROM key_records"]
    return subprocess.run(counted, check=True, capture_output=True, text=True).stdout.strip()


def test_another_process_may_close_the_file(path: Path) -> None:
    store = SqliteStore(str(path), timeout_seconds=5)
    with store._lent():
        # Open a second thread's connection while the first one is in use.
        store.claim(record("A-1"))
    assert len(store._idle) == 2
    assert read_in_another_process(path) == "(1,)"
    store.claim(record("A-2"))
    assert read_in_another_process(path) == "(2,)"
    store.close()


def test_deleted_or_replaced_file_is_unavailable_not_empty(path: Path) -> None:
    store = SqliteStore(str(path), timeout_seconds=5)
    store.claim(record())
    moved = path.rename(path.with_name("moved"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=REPLACED):
            store.claim(record(owner="second"))
    assert not path.exists()
    path.touch()
    with pytest.raises(StoreUnavailable, match=REPLACED):
        store.claim(record(owner="second"))
    moved.rename(path)
    assert store.claim(record(owner="second")) == record()
    store.close()


def test_connections_do_not_exceed_concurrent_users(path: Path) -> None:
    store = SqliteStore(str(path), timeout_seconds=5)
    for number in range(20):
        thread = threading.Thread(target=store.claim, args=(record(f"A-{number}"),))
        thread.start()
        thread.join()
    assert len(store._idle) == 1
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(store.read, [order(f"A-{number}") for number in range(20)]))
    assert len(store._idle) <= 3
    store.close()
    with pytest.raises(StoreUnavailable):
        store.ping()
