"""Moving to another store: every record arrives as it was, and a second copy changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from payment_service.key_store import open_key_store
from payment_service.key_store.copy import Copied, copy
from payment_service.key_store.memory import MemoryStore
from tests.support.sandbox_process import ROOT
from tests.support.servers import free_port
from tests.unit.telemetry.test_metrics import record


def test_every_record_arrives_as_it_was(tmp_path: Path) -> None:
    source, target = MemoryStore(), open_key_store(f"sqlite:///{tmp_path}/keys.db")
    records = {record(f"A-{n}", locked_until=float(n), due_at=n or None) for n in range(50)}
    for each in records:
        source.claim(each)
    assert copy(source, target) == Copied(copied=50, already_there=0)
    assert set(target.scan()) == records
    assert copy(source, target) == Copied(copied=0, already_there=50)
    target.close()


def test_differing_records_are_kept_and_reported() -> None:
    source, target = MemoryStore(), MemoryStore()
    source.claim(record("A-1", 1.0))
    target.claim(record("A-1", 2.0))
    assert copy(source, target) == Copied(0, 0, (record("A-1", 1.0).order,))
    assert [each.locked_until for each in target.scan()] == [2.0]
    assert copy(source, target, overwrite=True) == Copied(copied=1, already_there=0)
    assert [each.locked_until for each in target.scan()] == [1.0]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "stripe_back_end_api", "copy-store", *arguments],
        cwd=ROOT,
        env={n: text for n, text in os.environ.items() if not n.startswith("STRIPE_")} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_copy_at_a_shell_says_how_many(tmp_path: Path) -> None:
    source = open_key_store(f"sqlite:///{tmp_path}/old.db")
    source.claim(record("A-1", 1.0))
    source.close()
    done = run(f"SQLITE:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db")
    assert (done.stdout, done.stderr) == ("1 records copied, 0 were there already\n", "")


def test_urls_come_from_the_environment(tmp_path: Path) -> None:
    """Arguments are seen by every user of the machine, and a URL may hold a password."""
    source = open_key_store(f"sqlite:///{tmp_path}/old.db")
    source.claim(record("A-1", 1.0))
    source.close()
    done = run(COPY_FROM=f"sqlite:///{tmp_path}/old.db", COPY_TO=f"sqlite:///{tmp_path}/new.db")
    assert (done.stdout, done.stderr) == ("1 records copied, 0 were there already\n", "")


def test_a_source_that_served_after_a_copy_is_reported(tmp_path: Path) -> None:
    """An order that was canceled and made again there would get a second PaymentIntent."""
    stores = f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db"
    source = open_key_store(stores[0])
    before = record("A-1", 1.0)
    source.claim(before)
    run(*stores)
    assert source.replace(before, replace(before, version=2, payment_intent_id="pi_2"))
    source.close()
    done = run(*stores)
    assert (done.returncode, done.stdout) == (1, "0 records copied, 0 were there already\n")
    (told,) = done.stderr.splitlines()
    assert told.startswith("Error: 1 records are not the same in TO ('A-1'): ")
    done = run(*stores, "--overwrite")
    assert (done.returncode, done.stdout) == (0, "1 records copied, 0 were there already\n")
    target = open_key_store(stores[1])
    assert [each.payment_intent_id for each in target.scan()] == ["pi_2"]
    target.close()


def test_a_source_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = run(f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db")
    assert (done.returncode, done.stderr) == (1, "Error: FROM: there is no such SQLite file\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "target", "line"),
    [
        ("mysql://me:hunter2@host", "redis://host", "FROM: unknown scheme: use one of "),
        ("redis://host", "postgresql://me:hunter2@host:port", "TO: a postgresql URL is "),
        ("redis://host", "memory://", "TO: only the running service can read "),
        ("sqlite:///{text}", "redis://host", "FROM: SQLite: DatabaseError: "),
        ("redis://:hunter2@{nobody}", "sqlite:///{new}", "FROM: Redis: ConnectionError: "),
        (
            "sqlite:///{old}",
            "postgresql://me:hunter2@{nobody}/db",
            "TO: PostgreSQL: OperationalError: ",
        ),
    ],
)
def test_a_store_that_cannot_be_copied_is_reported_in_one_line(
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
    assert told.startswith(f"Error: {line}")
    assert "hunter2" not in told
