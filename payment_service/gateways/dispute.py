"""A dispute of a payment as the rules see it."""

from __future__ import annotations

from msgspec import Struct

# Final statuses. An inquiry ends as `closed`; it never moves money.
CLOSED = frozenset({"won", "lost", "closed"})

STATUSES = CLOSED | {"needs_response", "under_review"}


class Dispute(Struct, frozen=True):
    """One dispute, or an inquiry that may become one. `created`, `respond_by`: Unix seconds."""

    id: str
    intent_id: str
    amount: int
    currency: str
    status: str
    reason: str
    created: int
    respond_by: int | None = None
    is_inquiry: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has not been decided; an unknown status is open."""
        return self.status not in CLOSED
