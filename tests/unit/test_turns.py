"""A test that is marked `alone` runs while no other worker runs a test."""

from __future__ import annotations

import fcntl
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.turns import Turns


def item(nodeid: str, *, alone: bool = False) -> Any:
    return SimpleNamespace(nodeid=nodeid, get_closest_marker=lambda name: name if alone else None)


class Worker:
    """A worker of the run; `begin` returns when its test may run."""

    def __init__(self, directory: Path) -> None:
        self.turns = Turns(directory)
        self._turn: Generator[None, object, object] | None = None

    def begin(self, *, alone: bool = False) -> None:
        self._turn = self.turns.pytest_runtest_protocol(item("tests/unit/x.py", alone=alone))
        next(self._turn)

    def end(self) -> None:
        assert self._turn
        next(self._turn, None)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Worker]]:
    made = [Worker(tmp_path) for _ in range(3)]
    yield made
    for each in made:
        each.turns.pytest_unconfigure()


def is_held(file: Path) -> bool:
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_other_tests_run_at_the_same_time(workers: list[Worker]) -> None:
    for each in workers:
        each.begin()
    for each in workers:
        each.end()


def test_test_that_runs_alone_waits_and_is_waited_for(
    workers: list[Worker], tmp_path: Path
) -> None:
    first, alone, later = workers
    first.begin()
    with ThreadPoolExecutor(2) as pool:
        waits = pool.submit(alone.begin, alone=True)
        while not is_held(tmp_path / "gate"):
            pass
        comes = pool.submit(later.begin)
        assert not waits.done()
        first.end()
        waits.result(20)
        assert is_held(tmp_path / "room")
        assert not comes.done()
        alone.end()
        comes.result(20)
    assert not is_held(tmp_path / "gate")
    assert not is_held(tmp_path / "room")
    later.end()


def test_failing_test_ends_its_turn(workers: list[Worker], tmp_path: Path) -> None:
    worker = workers[0]
    worker.begin(alone=True)
    assert worker._turn
    with pytest.raises(KeyboardInterrupt):
        worker._turn.throw(KeyboardInterrupt())
    assert not is_held(tmp_path / "room")


def test_long_tests_begin_and_those_that_run_alone_end(workers: list[Worker]) -> None:
    first, last = item("tests/proof/x.py"), item("tests/conformance/x.py", alone=True)
    items = [last, item("tests/browser/x.py"), first, item("tests/unit/x.py")]
    workers[0].turns.pytest_collection_modifyitems(items)
    assert (items[0], items[-1]) == (first, last)
    assert [each.nodeid for each in items[1:3]] == ["tests/browser/x.py", "tests/unit/x.py"]
