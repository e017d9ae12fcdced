"""Read the JSON of a webhook's body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from payment_service.errors import BadRequest


def parse_event(body: bytes) -> dict[str, Any]:
    """Return the event. Raises BadRequest for a body that is not a JSON object."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise BadRequest("The event is not JSON", code="malformed_json") from wrong
    if not isinstance(event, dict):
        raise BadRequest("The event is not a JSON object", code="malformed_json")
    return event


def object_in(within: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object of this name; an empty one if there is none, or something else."""
    found = within.get(name)
    return found if isinstance(found, dict) else {}
