"""Moving to another store: every record arrives as it was, and a second copy changes nothing."""

from __future__ import annotations

from pathlib import Path

from key_store import open_key_store
from key_store.copy import Copied, copy
from key_store.memory import MemoryStore
from tests.test_metrics import record


def test_every_record_arrives_as_it_was(tmp_path: Path) -> None:
    source, target = MemoryStore(), open_key_store(f"sqlite:///{tmp_path}/keys.db")
    records = {record(f"A-{n}", locked_until=float(n), due_at=n or None) for n in range(50)}
    for each in records:
        source.claim(each)
    assert copy(source, target) == Copied(carried=50, there_before=0)
    assert set(target.scan()) == records
    assert copy(source, target) == Copied(carried=0, there_before=50)
    target.close()


def test_what_the_target_has_is_left_alone() -> None:
    source, target = MemoryStore(), MemoryStore()
    source.claim(record("A-1", 1.0))
    target.claim(record("A-1", 2.0))
    copy(source, target)
    assert [each.locked_until for each in target.scan()] == [2.0]
