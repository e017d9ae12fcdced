"""All that is kept for one account in one mode."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.idempotency import IdempotencyKeys
from sandbox.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Books:
    """Its objects and its idempotency keys."""

    ledger: Ledger = field(default_factory=Ledger)
    keys: IdempotencyKeys = field(default_factory=IdempotencyKeys)

    def copy(self) -> Books:
        """The same books, to be kept on by themselves."""
        return Books(self.ledger.copy(), self.keys.copy())
