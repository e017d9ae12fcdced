"""Ids in Stripe's format; a seed makes them reproducible."""

from __future__ import annotations

import random

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Identifiers:
    """A generator of ids. Without a seed they differ in every run."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._requests = 0

    def new(self, prefix: str, length: int = 24) -> str:
        """Return `prefix` and this many random letters and digits."""
        return prefix + "".join(self._random.choices(_LETTERS, k=length))

    def request(self) -> str:
        """Return the Request-Id of the next request."""
        self._requests += 1
        return f"req_{self._requests:014d}"

    def copy(self) -> Identifiers:
        """Return a generator that continues with the same ids."""
        twin = Identifiers(0)
        twin._random.setstate(self._random.getstate())
        twin._requests = self._requests
        return twin
