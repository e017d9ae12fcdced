"""The history of an order: a short bounded list of entries in the record's follow-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Enough for every step of a troubled order. Bounded, because every replay reads the record.
MAX_ENTRIES = 20

Entry = Mapping[str, Any]
"""One step: `at` (Unix seconds), `what`, and more facts."""


def noted(history: Sequence[Entry], at: float, what: str, **facts: Any) -> tuple[Entry, ...]:
    """Return the history with one more entry; a full one keeps its first and drops its second."""
    entries = [*history, {"at": round(at, 3), "what": what, **facts}]
    if len(entries) > MAX_ENTRIES:
        del entries[1]
    return tuple(entries)
