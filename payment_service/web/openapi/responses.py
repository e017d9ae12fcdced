"""The answers that are not 200, from the errors' own tree and the one table of statuses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from payment_service.errors import NoLongerOpen, PaymentError, Refused
from payment_service.gateways.intent import CANCELED, TAKEN
from payment_service.web.body import MAX_BODY_BYTES, MAX_EVENT_BYTES

Answers = Mapping[type[Exception], tuple[int, str]]

# What the server itself answers, on every address, to what is not HTTP.
UNREADABLE = "bad_request"

# Of one class, but told apart by status or word.
BAD_REQUESTS = {
    400: ("malformed_json", "missing_parameter", "invalid_parameter", UNREADABLE),
    413: ("too_large",),
    415: ("not_json",),
}
OTHER_WORDS = {401: ("token_expired",), 403: ("token_mismatch",)}

# Why a body is not read.
JSON_BODY = {413: f"The body is larger than {MAX_BODY_BYTES} bytes", 415: "Not JSON in UTF-8"}
EVENT_BODY = {413: f"The body is larger than {MAX_EVENT_BYTES} bytes"}

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "code", "action"],
    "properties": {
        "error": {"type": "string", "description": "a sentence for a person"},
        "code": {"type": "string", "description": "a word for a program"},
        "action": {
            "type": "string",
            "enum": ["fix_request", "retry_same", "stop"],
            "description": "fix_request: the same bytes will fail again; retry_same: send the "
            "very same request again, after Retry-After; stop: a person must look",
        },
        "request_id": {"type": "string", "description": "Stripe's own id of the request"},
        "status": {"type": "string", "description": "of a PaymentIntent that is not open any more"},
        "amount": {"type": "integer", "description": "of an order that changed, where it is known"},
        "revision": {"type": "integer", "description": "of an order that changed: its updates"},
    },
    "additionalProperties": False,
}


def responses(
    kinds: Iterable[type[PaymentError]],
    answers: Answers,
    body: Mapping[int, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return OpenAPI's responses for errors of these kinds, and for a body that is not read."""
    rows: dict[int, list[type[PaymentError]]] = defaultdict(list)
    for kind in kinds:
        rows[answers[kind][0]].append(kind)
    found = {str(status): _response(status, rows[status], answers) for status in sorted(rows)}
    for status, text in body.items():
        found[str(status)] = _shaped(text, BAD_REQUESTS[status], ["fix_request"])
    return dict(sorted(found.items()))


def _response(status: int, kinds: list[type[PaymentError]], answers: Answers) -> dict[str, Any]:
    stripes_too = any(issubclass(kind, Refused) for kind in kinds)
    actions = sorted({answers[kind][1] for kind in kinds})
    text = " ".join((kind.__doc__ or "").partition("\n")[0] for kind in kinds)
    found = _shaped(text, _words(status, kinds), actions, stripes_too=stripes_too)
    headers = {}
    if any(kind.retry_after_seconds for kind in kinds):
        headers["Retry-After"] = {"schema": {"type": "integer", "minimum": 1}}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"const": "Bearer"}}
    return {**found, "headers": headers} if headers else found


def _words(status: int, kinds: list[type[PaymentError]]) -> Iterable[str]:
    if status == 400:
        yield from BAD_REQUESTS[400]
    elif NoLongerOpen in kinds:
        yield from (kind.code for kind in kinds if kind is not NoLongerOpen)
        yield from (f"payment_{word}" for word in sorted((*TAKEN, CANCELED)))
    else:
        yield from dict.fromkeys(kind.code for kind in kinds)
    yield from OTHER_WORDS.get(status, ())


def _shaped(
    text: str, words: Iterable[str], actions: list[str], *, stripes_too: bool = False
) -> dict[str, Any]:
    """`stripes_too`: Stripe's own words may stand in place of ours."""
    code = {"examples" if stripes_too else "enum": list(words)}
    rules = {"action": {"enum": actions}, "code": code}
    error = {"allOf": [{"$ref": "#/components/schemas/Error"}, {"properties": rules}]}
    return {"description": text, "content": {"application/json": {"schema": error}}}
