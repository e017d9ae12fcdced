"""The history of an order: a short bounded list of events inside the record's `follow_up`."""

from __future__ import annotations

import json
from typing import Any

# Enough for every step of a troubled order. Bounded, because every replay reads the record.
MAX_ENTRIES = 20

JsonObject = dict[str, Any]

_to_json = json.JSONEncoder(separators=(",", ":")).encode


def noted(follow_up: str, at: float, what: str, **facts: Any) -> str:
    """Return `follow_up` with one more entry; a full list keeps its first and drops its second."""
    kept: JsonObject = json.loads(follow_up) if follow_up else {}
    entries = kept.setdefault("history", [])
    entries.append({"at": round(at, 3), "what": what, **facts})
    if len(entries) > MAX_ENTRIES:
        del entries[1]
    return _to_json(kept)


def entries_of(follow_up: str) -> list[JsonObject]:
    """Return the entries, oldest first; each has `at` (Unix seconds) and `what`."""
    found: list[JsonObject] = json.loads(follow_up).get("history", []) if follow_up else []
    return found
