"""GET /v1/charges, /v1/refunds and /v1/disputes: one object, or pages of them, newest first."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.answers import JsonObject
from sandbox.collection import Collection
from sandbox.expansion import expandable
from sandbox.form import Form
from sandbox.ledger import Ledger
from sandbox.listing import DEFAULT_LIMIT, PAGE, in_range
from sandbox.moment import Moment
from sandbox.parameters import Schema, text

Run = Callable[[Moment, str, Form], JsonObject]

_FILTERS = {
    "charge": ("customer", "payment_intent"),
    "refund": ("charge", "payment_intent"),
    "dispute": ("charge", "payment_intent"),
}


def retrieve_schema(kind: str) -> Schema:
    """Return the parameters of GET /v1/<kind>s/:id."""
    return {"expand": expandable(kind)}


def list_schema(kind: str) -> Schema:
    """Return the parameters of GET /v1/<kind>s."""
    filters = dict.fromkeys(_FILTERS[kind], text(unset=False))
    return {**PAGE, **filters, "expand": expandable(kind, listed=True)}


def retrieve_of(kind: str) -> Run:
    """Return the endpoint GET /v1/<kind>s/:id."""
    return lambda moment, object_id, _: _collection(moment.ledger, kind).get(object_id)


def list_of(kind: str) -> Run:
    """Return the endpoint GET /v1/<kind>s."""

    def run(moment: Moment, _: str, params: Form) -> JsonObject:
        collection = _collection(moment.ledger, kind)
        data, more = _page(_between_cursors(collection, params), kind, params)
        return {"object": "list", "data": data, "has_more": more, "url": f"/v1/{kind}s"}

    return run


def _collection(ledger: Ledger, kind: str) -> Collection:
    return {"charge": ledger.charges, "refund": ledger.refunds, "dispute": ledger.disputes}[kind]


def _between_cursors(collection: Collection, params: Form) -> list[JsonObject]:
    found = collection.newest_first()

    def place(cursor: str) -> int:
        return found.index(collection.get(params[cursor], cursor, status=400))

    first = place("starting_after") + 1 if "starting_after" in params else 0
    last = place("ending_before") if "ending_before" in params else len(found)
    return found[first:last]


def _page(found: list[JsonObject], kind: str, params: Form) -> tuple[list[JsonObject], bool]:
    matching = [each for each in found if _matches(each, kind, params)]
    limit = params.get("limit", DEFAULT_LIMIT)
    data = matching[-limit:] if "ending_before" in params else matching[:limit]
    return data, len(matching) > limit


def _matches(found: JsonObject, kind: str, params: Form) -> bool:
    names = (name for name in _FILTERS[kind] if name in params)
    return all(found[name] == params[name] for name in names) and in_range(
        found["created"], params.get("created", {})
    )
