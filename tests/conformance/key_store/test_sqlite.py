"""Failures specific to SQLite files: locks, full disks, broken files, permissions."""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.key_store import open_key_store, shared_memory_store
from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.row import as_row
from payment_service.key_store.sqlite.faults import REPLACED
from payment_service.key_store.sqlite.store import SqliteStore
from payment_service.key_store.statements import statement
from tests.support.key_stores import order, record

# Root may write whatever the file says; this user may not.
NOBODY = 65534


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "keys.db"


def synchronous(store: object) -> int:
    assert isinstance(store, SqliteStore)
    (connection,) = store._connections._idle
    level: int = connection.execute("PRAGMA synchronous").fetchone()[0]
    return level


def test_a_write_is_on_the_disk_when_it_returns(path: Path) -> None:
    store = open_key_store(f"sqlite:///{path}")
    store.claim(record())
    assert synchronous(store) == 2
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


def test_a_shared_memory_file_is_never_flushed(path: Path) -> None:
    store = shared_memory_store(str(path))
    store.claim(record())
    assert synchronous(store) == 0
    store.close()


class WriteAlone(sqlite3.Connection):
    """Fails where two writes of this process are at the file at once."""

    busy = threading.Lock()

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if not sql.lstrip().upper().startswith(("INSERT", "UPDATE")):
            return super().execute(sql, *values)
        assert self.busy.acquire(blocking=False)
        try:
            return super().execute(sql, *values)
        finally:
            self.busy.release()


def test_threads_take_turns_at_a_shared_memory_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's busy handler sleeps for milliseconds, while a write takes 0.02 ms."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=WriteAlone))
    store = shared_memory_store(str(path), timeout_seconds=20.0)

    def write(number: int) -> bool:
        mine = record(f"A-{number}")
        return store.claim(mine) == mine and store.replace(mine, replace(mine, version=2))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(write, range(500)))
    store.close()


@pytest.mark.alone
def test_a_thread_waits_no_longer_for_its_turn_and_the_file_than_for_the_file(path: Path) -> None:
    """A thread that gets its turn just before its deadline has no time left for the file."""
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
    other.close()
    assert store.claim(record("B-1")) == record("B-1")
    store.close()


def test_only_the_owner_can_read_the_file(path: Path) -> None:
    store = open_key_store(f"sqlite:///{path}")
    store.claim(record())
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    store.close()


def test_a_writer_that_holds_the_file_is_waited_for_within_the_time_out(path: Path) -> None:
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


def test_no_waiting_thread_exceeds_its_time_out(path: Path) -> None:
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


def test_a_write_that_sqlite_rejects_fails_alone(path: Path) -> None:
    """In any batch."""
    store = open_key_store(f"sqlite:///{path}", timeout_seconds=20)
    too_much = record("too much", attempt=2**70)
    with ThreadPoolExecutor(30) as pool:
        bad = [pool.submit(store.claim, too_much) for _ in range(10)]
        good = [pool.submit(store.claim, record(f"B-{number}")) for number in range(20)]
        assert {type(each.exception(20)) for each in bad} == {OverflowError}
        assert {each.result(20).order.order_id for each in good} == {f"B-{n}" for n in range(20)}
    store.close()


def test_a_batch_is_written_completely_or_not_at_all(path: Path) -> None:
    store = SqliteStore(str(path), timeout_seconds=20)
    good, bad = as_row(record("A-1")), as_row(record("A-2", attempt=2**70))
    soon = time.monotonic() + 20
    assert store._write([("claim", good), ("claim", bad)], soon) == [None, None]
    assert list(store.scan()) == []
    assert store._write([("claim", good), ("claim", good)], soon) == [1, 0]
    assert list(store.scan()) == [record("A-1")]
    store.close()


def test_a_file_that_is_no_database_is_reported(path: Path) -> None:
    path.write_bytes(b"not a database, by any means" * 100)
    store = open_key_store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable):
        store.claim(record())
    with pytest.raises(StoreUnavailable):
        store.ping()
    store.close()


def test_a_directory_that_is_missing_can_come_later(path: Path) -> None:
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
    with pytest.raises(StoreUnavailable):
        store.ping()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    store.ping()
    store.claim(record("A-3"))
    store.close()


def test_a_full_disk_is_reported_and_corrupts_nothing(path: Path) -> None:
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


def test_a_file_that_may_only_be_read_is_not_ready() -> None:
    """As after another process's command."""
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
    """As sqlite3 and the commands do: the last one who closes the file ends its log."""
    read = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute(sys.argv[2]))"
    command = [sys.executable, "-c", f"{read}; c.close()", str(path)]
    counted = [*command, "SELECT count(*) FROM key_records"]
    return subprocess.run(counted, check=True, capture_output=True, text=True).stdout.strip()


def test_another_process_that_closes_the_file_takes_nothing_away(path: Path) -> None:
    store = SqliteStore(str(path), timeout_seconds=5)
    with store._connections.borrowed():
        # Another thread's connection, while the first is in use.
        store.claim(record("A-1"))
    assert len(store._connections._idle) == 2
    assert read_in_another_process(path) == "(1,)"
    store.claim(record("A-2"))
    assert read_in_another_process(path) == "(2,)"
    store.close()


def test_a_file_that_is_gone_or_replaced_is_not_taken_for_an_empty_one(path: Path) -> None:
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


def test_threads_leave_no_more_connections_than_were_used_at_once(path: Path) -> None:
    store = SqliteStore(str(path), timeout_seconds=5)
    for number in range(20):
        thread = threading.Thread(target=store.claim, args=(record(f"A-{number}"),))
        thread.start()
        thread.join()
    assert len(store._connections._idle) == 1
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(store.read, [order(f"A-{number}") for number in range(20)]))
    assert 1 <= len(store._connections._idle) <= 3
    store.close()
    with pytest.raises(StoreUnavailable):
        store.ping()


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("list_client", "key_records_by_client"),
        ("list_mode", "key_records_by_mode"),
        ("list_alarms", "key_records_alarm"),
        ("unlisted", "key_records_unlisted"),
    ],
)
def test_a_page_is_read_from_its_index(path: Path, name: str, index: str) -> None:
    store = open_key_store(f"sqlite:///{path}")
    store.ping()
    sql = statement("sqlite", f"{name}.sql")
    values = dict.fromkeys(re.findall(r":(\w+)", sql), 0)
    with closing(sqlite3.connect(path)) as connection:
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
    assert f"SEARCH key_records USING INDEX {index}" in plan
    store.close()
