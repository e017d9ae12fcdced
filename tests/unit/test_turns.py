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


class Worker:
    """A worker of the run; `begin` returns when its test may run."""

    def __init__(self, directory: Path) -> None:
        self.turns = Turns(directory)
        self._turn: Generator[None, object, object] | None = None

    def begin(self, *, alone: bool = False) -> None:
        item: Any = SimpleNamespace(get_closest_marker=lambda name: alone and name or None)
        self._turn = self.turns.pytest_runtest_protocol(item)
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
