"""The `expand` parameter: replace ids in a response by the objects they name.

Source: docs.stripe.com/api/expanding_objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.answers import JsonObject, refusal
from sandbox.ledger import Ledger
from sandbox.parameters import Rule, array

MAX_DEPTH = 4

# The kind of object that each expandable field of a kind names.
_FIELDS = {
    "payment_intent": {"latest_charge": "charge"},
    "charge": {"payment_intent": "payment_intent", "refunds": "refund"},
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
}


def expandable(kind: str, *, listed: bool = False) -> Rule:
    """Return the rule of `expand` for one object of a kind, or for a list of them."""

    def rule(_: str, value: Any) -> str:
        steps = str(value).split(".")
        if listed:
            steps = steps[1:] if steps[0] == "data" else [""]
        if len(steps) > MAX_DEPTH:
            raise refusal(f"You cannot expand more than {MAX_DEPTH} levels of a property.")
        at: str | None = kind
        for step in steps:
            at = _FIELDS.get(at or "", {}).get(step)
            if at is None:
                raise refusal(f"This property cannot be expanded ({value}).", param="expand")
        return str(value)

    return array(rule)


def expand(ledger: Ledger, found: JsonObject, paths: Iterable[str]) -> JsonObject:
    """Return the response with the objects at these checked paths."""
    for path in paths:
        found = _expanded(ledger, found, path.split("."))
    return found


def _expanded(ledger: Ledger, found: JsonObject, steps: list[str]) -> JsonObject:
    step, rest = steps[0], steps[1:]
    if step == "data":
        return {**found, step: [_expanded(ledger, each, rest) for each in found[step]]}
    inner = _named(ledger, found, step)
    if isinstance(inner, dict) and rest:
        inner = _expanded(ledger, inner, rest)
    return {**found, step: inner}


def _named(ledger: Ledger, found: JsonObject, field: str) -> Any:
    kind = _FIELDS[found["object"]][field]
    if field == "refunds":
        return _refunds(ledger, found)
    named = found[field]
    if not isinstance(named, str):
        return named
    return ledger.get(named) if kind == "payment_intent" else ledger.charges.get(named)


def _refunds(ledger: Ledger, charge: JsonObject) -> JsonObject:
    url = f"/v1/charges/{charge['id']}/refunds"
    data = ledger.refunds.newest_first(charge=charge["id"])
    return {"object": "list", "data": data[:10], "has_more": len(data) > 10, "url": url}
