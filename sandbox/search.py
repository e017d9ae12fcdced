"""GET /v1/payment_intents/search: eventually consistent, as Stripe's search is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from sandbox.answers import JsonObject, refusal
from sandbox.form import Form
from sandbox.ledger import Ledger, Position, Record
from sandbox.listing import DEFAULT_LIMIT, limit
from sandbox.moment import Moment
from sandbox.parameters import Schema, check, text
from sandbox.search_query import Query, parse_query


def _query(_: str, value: Any) -> Query:
    return parse_query(text(unset=False)("query", value))


_SCHEMA: Schema = {"query": _query, "limit": limit, "page": text(unset=False)}


def check_search(params: Form, _: str) -> Form:
    """Validate the parameters of a search, and parse its query."""
    return check(params, _SCHEMA, required=("query",))


def search_intents(moment: Moment, _: str, params: Form) -> JsonObject:
    """Return one page of the state of `search_lag_seconds` ago, newest first."""
    wanted, query = params.get("limit", DEFAULT_LIMIT), params["query"]
    seen_at = moment.now - moment.rules.search_lag_seconds
    candidates = _after(_candidates(moment.ledger, query), params.get("page"))
    found = list(islice(_found(moment.ledger, candidates, query, seen_at), wanted + 1))
    more = len(found) > wanted
    return {
        "object": "search_result",
        "data": [intent for _, intent in found[:wanted]],
        "has_more": more,
        "next_page": _page(found[wanted - 1][0]) if more else None,
        "url": "/v1/payment_intents/search",
    }


def _candidates(ledger: Ledger, query: Query) -> Iterator[Position]:
    pair = query.metadata_pair()
    if pair is None:
        return reversed(ledger.positions)
    places = (ledger.place(intent_id, "query") for intent_id in ledger.with_metadata(*pair))
    return iter(sorted(places, reverse=True))


def _after(candidates: Iterator[Position], page: str | None) -> Iterator[Position]:
    if page is None:
        return candidates
    last = _position(page)
    return (position for position in candidates if position < last)


def _found(
    ledger: Ledger, candidates: Iterator[Position], query: Query, seen_at: float
) -> Iterator[tuple[Position, JsonObject]]:
    for position in candidates:
        intent = _as_seen(ledger.records[position.id], seen_at)
        if intent is not None and query.matches(intent):
            yield position, intent


def _as_seen(record: Record, seen_at: float) -> JsonObject | None:
    for changed_at, intent in reversed(record.history):
        if changed_at <= seen_at:
            return intent
    return None


def _page(last: Position) -> str:
    return f"{last.created:x}-{last.sequence:x}"


def _position(page: str) -> Position:
    created, _, sequence = page.partition("-")
    try:
        return Position(int(created, 16), int(sequence, 16), "")
    except ValueError:
        raise refusal("Invalid page.", param="page") from None
