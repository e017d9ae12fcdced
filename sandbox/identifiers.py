"""Ids that look like Stripe's; the same ones again where a seed is given."""

from __future__ import annotations

import random

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Identifiers:
    """A source of ids. Without a seed they differ from run to run, as Stripe's do."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._requests = 0

    def new(self, prefix: str, length: int = 24) -> str:
        """`prefix` and so many random letters."""
        return prefix + "".join(self._random.choices(_LETTERS, k=length))

    def request(self) -> str:
        """The Request-Id of the next request."""
        self._requests += 1
        return f"req_{self._requests:014d}"

    def copy(self) -> Identifiers:
        """A source that goes on as this one would."""
        twin = Identifiers(0)
        twin._random.setstate(self._random.getstate())
        twin._requests = self._requests
        return twin
