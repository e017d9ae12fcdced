"""The sandbox clock: real time, moved on by as much as a test asks for."""

from __future__ import annotations

import time


class MovableClock:
    """Unix seconds; runs on after every move."""

    def __init__(self) -> None:
        self._ahead_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        """Move by so many seconds."""
        self._ahead_seconds += seconds

    def set(self, at: float) -> None:
        """Move to an instant."""
        self._ahead_seconds = at - time.time()

    def set_to_now(self) -> None:
        """Move back to real time."""
        self._ahead_seconds = 0.0
