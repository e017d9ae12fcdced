"""The history of an order: a short bounded list of entries in the record's follow-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Enough for every step of a troubled order. Bounded, because every replay reads the record.
MAX_ENTRIES = 20

Entry = Mapping[str, Any]
"""One step: `at` (Unix seconds), `what`, and more facts."""

# The entries of an order that a person must look at; see payments.record.alarms.
TWO_PAID, STRAY_ADOPTED = "two_paid", "adopted, paid"


def noted(history: Sequence[Entry], at: float, what: str, **facts: Any) -> tuple[Entry, ...]:
    """Return the history with one more entry; a full one drops its second.

    It keeps an alarm as long as it has another entry to drop.
    """
    entries = [*history, {"at": round(at, 3), "what": what, **facts}]
    if len(entries) > MAX_ENTRIES:
        plain = (n for n, each in enumerate(entries[:-1]) if n and not _is_alarm(each))
        del entries[next(plain, 1)]
    return tuple(entries)


def _is_alarm(entry: Entry) -> bool:
    return entry["what"] in (TWO_PAID, STRAY_ADOPTED)
