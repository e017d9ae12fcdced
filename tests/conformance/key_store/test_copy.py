"""Copying to another store: records arrive unchanged, and a second copy changes nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from payment_service.key_store import open_key_store
from payment_service.key_store.copy import Copied, copy
from payment_service.key_store.memory import MemoryStore
from tests.support.sandbox_process import ROOT
from tests.support.servers import free_port
from tests.unit.telemetry.test_metrics import record


def test_every_record_arrives_unchanged(tmp_path: Path) -> None:
    source, target = MemoryStore(), open_key_store(f"sqlite:///{tmp_path}/keys.db")
    records = {record(f"A-{n}", locked_until=float(n), due_at=n or None) for n in range(50)}
    for each in records:
        source.claim(each)
    assert copy(source, target) == Copied(carried=50, there_before=0)
    assert set(target.scan()) == records
    assert copy(source, target) == Copied(carried=0, there_before=50)
    target.close()


def test_differing_target_record_is_kept_and_reported() -> None:
    source, target = MemoryStore(), MemoryStore()
    source.claim(record("A-1", 1.0))
    target.claim(record("A-1", 2.0))
    assert copy(source, target) == Copied(0, 0, (record("A-1", 1.0).order,))
    assert [each.locked_until for each in target.scan()] == [2.0]
    assert copy(source, target, overwrite=True) == Copied(carried=1, there_before=0)
    assert [each.locked_until for each in target.scan()] == [1.0]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "payment_service.key_store.copy", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_copy_command_prints_the_count(tmp_path: Path) -> None:
    source = open_key_store(f"sqlite:///{tmp_path}/old.db")
    source.claim(record("A-1", 1.0))
    source.close()
    done = run(f"SQLITE:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db")
    assert (done.stdout, done.stderr) == ("1 records carried over, 0 were there\n", "")


def test_source_that_changed_after_a_copy_is_reported(tmp_path: Path) -> None:
    """An order canceled and created again there would otherwise get a second PaymentIntent."""
    stores = f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db"
    source = open_key_store(stores[0])
    before = record("A-1", 1.0)
    source.claim(before)
    run(*stores)
    assert source.replace(before, replace(before, version=2, payment_intent_id="pi_2"))
    source.close()
    done = run(*stores)
    assert (done.returncode, done.stdout) == (1, "0 records carried over, 0 were there\n")
    (told,) = done.stderr.splitlines()
    assert told.startswith("1 records are not the same in TO ('A-1'): ")
    done = run(*stores, "--overwrite")
    assert (done.returncode, done.stdout) == (0, "1 records carried over, 0 were there\n")
    target = open_key_store(stores[1])
    assert [each.payment_intent_id for each in target.scan()] == ["pi_2"]
    target.close()


def test_missing_source_is_not_created(tmp_path: Path) -> None:
    done = run(f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db")
    assert (done.returncode, done.stderr) == (1, "FROM: there is no such SQLite file\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "target", "line"),
    [
        ("mysql://me:hunter2@host", "redis://host", "FROM: unknown scheme: use one of "),
        ("redis://host", "postgresql://me:hunter2@host:port", "TO: a postgresql URL is "),
        ("redis://host", "memory://", "TO: only the service itself can see "),
        ("sqlite:///{text}", "redis://host", "FROM: the SQLite file cannot be used now"),
        ("redis://:hunter2@{nobody}", "sqlite:///{new}", "FROM: Redis did not answer"),
        ("sqlite:///{old}", "postgresql://me:hunter2@{nobody}/db", "TO: PostgreSQL did not"),
    ],
)
def test_uncopyable_store_is_a_one_line_error(
    source: str, target: str, line: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text(
        "not a data base, but text that is long enough for a header\n" * 9
    )
    (tmp_path / "old").touch()
    places = {name: str(tmp_path / name) for name in ("text", "old", "new")}
    places["nobody"] = f"127.0.0.1:{free_port()}"
    done = run(source.format(**places), target.format(**places))
    assert (done.returncode, done.stdout) == (1, "")
    (told,) = done.stderr.splitlines()
    assert told.startswith(line)
    assert "hunter2" not in told
