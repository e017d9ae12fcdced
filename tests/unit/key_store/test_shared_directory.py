"""The directory in memory: killed services leave none behind, and running ones keep theirs."""

from __future__ import annotations

import os
from pathlib import Path

from payment_service.key_store.shared_directory import LOCK, PREFIX, make_directory


def test_a_killed_service_s_directory_is_removed_by_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}killed"
    left.mkdir()
    (left / LOCK).touch()
    os.utime(left, (0, 0))
    made = make_directory(tmp_path)
    assert list(tmp_path.iterdir()) == [made]


def test_a_running_service_s_directory_is_left_alone(tmp_path: Path) -> None:
    running = make_directory(tmp_path)
    os.utime(running, (0, 0))
    make_directory(tmp_path)
    assert running.exists()


def test_a_directory_whose_lock_is_not_taken_yet_is_left_alone(tmp_path: Path) -> None:
    young = tmp_path / f"{PREFIX}young"
    young.mkdir()
    make_directory(tmp_path)
    assert young.exists()
