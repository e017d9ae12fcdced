"""The search for records that are due."""

from __future__ import annotations

from collections.abc import Callable

from payment_service.key_store.contract import KeyRecord, KeyStore

# How many due records a search reads to find its own: about 20 MB of them.
MOST_DUE = 12_800


def due_for(
    store: KeyStore, now: float, limit: int, mine: Callable[[KeyRecord], bool]
) -> list[KeyRecord]:
    """Return at most `limit` records that are due and for which `mine` is true.

    Other due records may come first, such as those with events for a shop that is
    down, or those of the other mode.
    """
    asked = limit
    while True:
        due = store.due(now, asked)
        found = [each for each in due if mine(each)]
        if len(found) >= limit or len(due) < asked or asked >= MOST_DUE:
            return found[:limit]
        asked = min(asked * 8, MOST_DUE)
