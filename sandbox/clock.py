"""The sandbox clock: real time plus an offset that tests set."""

from __future__ import annotations

import time


class MovableClock:
    """Return Unix seconds when called; keeps running after every change."""

    def __init__(self) -> None:
        self._ahead_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        """Move forward by this many seconds."""
        self._ahead_seconds += seconds

    def set(self, at: float) -> None:
        """Move to this Unix time."""
        self._ahead_seconds = at - time.time()

    def set_to_now(self) -> None:
        """Move back to real time."""
        self._ahead_seconds = 0.0
