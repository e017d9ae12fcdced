"""The data of one account in one mode."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.idempotency import IdempotencyKeys
from sandbox.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Books:
    """The objects and the idempotency keys of one account in one mode."""

    ledger: Ledger = field(default_factory=Ledger)
    keys: IdempotencyKeys = field(default_factory=IdempotencyKeys)

    def copy(self) -> Books:
        """Return an independent copy."""
        return Books(self.ledger.copy(), self.keys.copy())
