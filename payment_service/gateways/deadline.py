"""The instant by which a request must be answered, handed down to whoever may wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Deadline:
    """`at` is an instant of `monotonic`, in seconds."""

    at: float
    monotonic: Callable[[], float] = time.monotonic

    @classmethod
    def after(cls, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> Self:
        """Return the deadline that lies `seconds` ahead."""
        return cls(monotonic() + seconds, monotonic)

    def left(self) -> float:
        """Return the seconds that are left; negative once it has passed."""
        return self.at - self.monotonic()

    def earlier(self, seconds: float) -> Deadline:
        """Return a deadline that leaves `seconds` before this one."""
        return Deadline(self.at - seconds, self.monotonic)
