"""GET /v1/events: the Events of an account, newest first."""

from __future__ import annotations

from sandbox.answers import JsonObject, refusal
from sandbox.form import Form
from sandbox.listing import DEFAULT_LIMIT, limit
from sandbox.moment import Moment
from sandbox.parameters import Schema, check, text

_SCHEMA: Schema = {
    "limit": limit,
    "type": text(unset=False),
    "starting_after": text(unset=False),
}


def check_list(params: Form, _: str) -> Form:
    """Validate the parameters of the list of events."""
    return check(params, _SCHEMA)


def list_events(moment: Moment, _: str, params: Form) -> JsonObject:
    """Return one page of events."""
    events = moment.ledger.events[::-1]
    if "starting_after" in params:
        events = events[events.index(retrieve(moment, params["starting_after"], {})) + 1 :]
    if "type" in params:
        events = [event for event in events if event["type"] == params["type"]]
    wanted = params.get("limit", DEFAULT_LIMIT)
    more = len(events) > wanted
    return {"object": "list", "data": events[:wanted], "has_more": more, "url": "/v1/events"}


def retrieve(moment: Moment, event_id: str, _: Form) -> JsonObject:
    """Return one event."""
    for event in moment.ledger.events:
        if event["id"] == event_id:
            return event
    message = f"No such event: '{event_id}'"
    raise refusal(message, status=404, code="resource_missing", param="id")
