"""The deadline of a request, passed down to every call that may block."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

from msgspec import Struct


class Deadline(Struct, frozen=True):
    """A point in time. `at` is in seconds on the `monotonic` clock."""

    at: float
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> Self:
        """Return the deadline `seconds` from now."""
        return cls(monotonic() + seconds, monotonic)

    def left(self) -> float:
        """Return the seconds left; negative once the deadline has passed."""
        return self.at - self.monotonic()

    def earlier(self, seconds: float) -> Deadline:
        """Return a deadline `seconds` before this one."""
        return Deadline(self.at - seconds, self.monotonic)

    def at_most(self, seconds: float) -> Deadline:
        """Return the earlier one of this deadline and `seconds` from now."""
        return Deadline(min(self.at, self.monotonic() + seconds), self.monotonic)
