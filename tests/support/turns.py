"""Turns of a run's workers: a test that is marked `alone` runs while no other test does."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from pathlib import Path

import pytest


class Turns:
    """A plugin for each worker of pytest-xdist; they share the locks in `directory`.

    Raises OSError if the directory is not writable.
    """

    def __init__(self, directory: Path) -> None:
        self._gate = os.open(directory / "gate", os.O_RDWR | os.O_CREAT)
        self._room = os.open(directory / "room", os.O_RDWR | os.O_CREAT)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Begin with the proofs, which take longest, and end with the tests that run alone."""
        items.sort(key=lambda item: (_is_alone(item), not item.nodeid.startswith("tests/proof/")))

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before the test's time-out begins
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run the test when its turn comes."""
        # A test that waits for those that run holds the gate, so that no other one starts.
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def pytest_unconfigure(self) -> None:
        """Close the files."""
        os.close(self._gate)
        os.close(self._room)


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None
