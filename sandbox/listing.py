"""GET /v1/payment_intents: newest first, read-after-write (docs.stripe.com/api/pagination)."""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import islice
from typing import Any

from sandbox.answers import JsonObject, refusal
from sandbox.expansion import expandable
from sandbox.form import Form
from sandbox.ledger import Ledger, Position
from sandbox.moment import Moment
from sandbox.parameters import Schema, check, integer, nested, text

DEFAULT_LIMIT, MAX_LIMIT = 10, 100

_COMPARE = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
_RANGE: Schema = dict.fromkeys(_COMPARE, integer)

# Sort before and after every sequence number of the same second.
_FIRST, _LAST = -1, 1 << 62


def limit(name: str, value: Any) -> int:
    """Parse a page size from 1 to 100."""
    found = integer(name, value)
    if not 1 <= found <= MAX_LIMIT:
        bound = "greater than or equal to 1" if found < 1 else f"less than or equal to {MAX_LIMIT}"
        message = f"This value must be {bound}."
        raise refusal(message, code="parameter_invalid_integer", param=name)
    return found


def _created(name: str, value: Any) -> JsonObject:
    if isinstance(value, str):
        return {"gte": integer(name, value), "lte": integer(name, value)}
    checked: JsonObject = nested(_RANGE)(name, value)
    return checked


PAGE: Schema = {
    "created": _created,
    "ending_before": text(unset=False),
    "limit": limit,
    "starting_after": text(unset=False),
}
_SCHEMA: Schema = {
    **PAGE,
    "customer": text(unset=False),
    "expand": expandable("payment_intent", listed=True),
}


def in_range(created: int, bounds: JsonObject) -> bool:
    """Whether a second is within the `created` parameter of a list."""
    return all(_COMPARE[bound](created, value) for bound, value in bounds.items())


def check_list(params: Form, _: str) -> Form:
    """Validate the parameters of a list."""
    return check(params, _SCHEMA)


def list_intents(moment: Moment, _: str, params: Form) -> JsonObject:
    """Return one page of the list."""
    wanted, ledger = params.get("limit", DEFAULT_LIMIT), moment.ledger
    backwards = "ending_before" in params
    inside = ledger.positions[_slice(ledger, params)]
    candidates = inside if backwards else reversed(inside)
    page = list(islice(_matching(ledger, candidates, params), wanted + 1))
    data = page[:wanted][::-1] if backwards else page[:wanted]
    more = len(page) > wanted
    return {"object": "list", "data": data, "has_more": more, "url": "/v1/payment_intents"}


def _slice(ledger: Ledger, params: Form) -> slice:
    """Return the positions between the cursors and within `created`; the list is oldest first."""
    low, high = 0, len(ledger.positions)
    for bound, value in params.get("created", {}).items():
        edge = Position(value, _FIRST if bound in ("gte", "lt") else _LAST, "")
        at = bisect_left(ledger.positions, edge)
        low, high = (max(low, at), high) if bound[0] == "g" else (low, min(high, at))
    if "starting_after" in params:
        place = ledger.place(params["starting_after"], "starting_after")
        high = min(high, bisect_left(ledger.positions, place))
    if "ending_before" in params:
        place = ledger.place(params["ending_before"], "ending_before")
        low = max(low, bisect_right(ledger.positions, place))
    return slice(low, high)


def _matching(ledger: Ledger, candidates: Iterable[Position], params: Form) -> Iterable[JsonObject]:
    for position in candidates:
        intent = ledger.records[position.id].intent
        if params.get("customer") in (None, intent["customer"]):
            yield intent
