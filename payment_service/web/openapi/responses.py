"""Error responses in OpenAPI, generated from the error classes and the status table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from payment_service.errors import NoLongerOpen, PaymentError, Refused
from payment_service.gateways.intent import CANCELED, TAKEN
from payment_service.schema.gateway_names import GATEWAY_TITLES, STRIPE
from payment_service.web.body import MAX_BODY_BYTES, MAX_EVENT_BYTES

Statuses = Mapping[type[Exception], tuple[int, str]]

# The server's own code for malformed HTTP, on every path.
UNREADABLE = "bad_request"

# Errors of one class that differ in status or code.
BAD_REQUEST_CODES = ("malformed_json", "missing_parameter", "invalid_parameter", UNREADABLE)
OTHER_CODES = {401: ("token_expired",), 403: ("token_mismatch",)}

# Reasons to reject a body unread: status → sentence and codes.
Rejected = Mapping[int, tuple[str, tuple[str, ...]]]
JSON_BODY: Rejected = {
    413: (f"The body is larger than {MAX_BODY_BYTES} bytes", ("too_large",)),
    415: ("Not JSON in UTF-8, or compressed", ("not_json", "encoded_body")),
}
EVENT_BODY: Rejected = {
    413: (f"The body is larger than {MAX_EVENT_BYTES} bytes", ("too_large",)),
    415: ("Compressed", ("encoded_body",)),
}

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
        "status": {
            "type": "string",
            "description": "of a PaymentIntent that does not allow the request",
        },
        "amount": {
            "type": "integer",
            "description": "of an order that changed or was captured, if known",
        },
        "revision": {
            "type": "integer",
            "description": "number of updates of a changed order",
        },
        "gateway": {
            "type": "string",
            "enum": sorted(GATEWAY_TITLES),
            "description": "the gateway that has the order's payment",
        },
        "cause": {
            "type": "string",
            "description": "of /readyz: why the key store cannot store an order",
        },
    },
    "additionalProperties": False,
}


def responses(
    kinds: Iterable[type[PaymentError]],
    statuses: Statuses,
    body: Rejected = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the OpenAPI responses for these errors and for rejected bodies."""
    rows: dict[int, list[type[PaymentError]]] = defaultdict(list)
    for kind in kinds:
        rows[statuses[kind][0]].append(kind)
    found = {str(status): _response(status, rows[status], statuses) for status in sorted(rows)}
    for status, (text, codes) in body.items():
        found[str(status)] = _response_schema(text, codes, ["fix_request"])
    return dict(sorted(found.items()))


def _response(status: int, kinds: list[type[PaymentError]], statuses: Statuses) -> dict[str, Any]:
    or_stripes = any(issubclass(kind, Refused) for kind in kinds)
    actions = sorted({statuses[kind][1] for kind in kinds})
    text = " ".join((kind.__doc__ or "").partition("\n")[0] for kind in kinds)
    found = _response_schema(text, _codes(status, kinds), actions, or_stripes=or_stripes)
    headers = {}
    if any(kind.retry_after_seconds for kind in kinds):
        headers["Retry-After"] = {"schema": {"type": "integer", "minimum": 1}}
    if status == 401:
        headers["WWW-Authenticate"] = {"schema": {"const": "Bearer"}}
    return {**found, "headers": headers} if headers else found


def _codes(status: int, kinds: list[type[PaymentError]]) -> Iterable[str]:
    if status == 400:
        yield from BAD_REQUEST_CODES
    elif NoLongerOpen in kinds:
        yield from (kind.code for kind in kinds if kind is not NoLongerOpen)
        yield from (f"payment_{word}" for word in sorted((*TAKEN, CANCELED)))
    else:
        yield from dict.fromkeys(code for kind in kinds for code in _codes_of(kind))
    yield from OTHER_CODES.get(status, ())


def _codes_of(kind: type[PaymentError]) -> Iterable[str]:
    """Yield the class's code, which names Stripe, and those for the other gateways."""
    gateway, _, failure = kind.code.partition("_")
    yield kind.code
    if gateway == STRIPE:
        yield from (f"{name}_{failure}" for name in GATEWAY_TITLES if name != STRIPE)


def _response_schema(
    text: str, codes: Iterable[str], actions: list[str], *, or_stripes: bool = False
) -> dict[str, Any]:
    """Build one response. `or_stripes`: the code may also be one of Stripe's."""
    list_of_codes = "examples" if or_stripes else "enum"
    code = {list_of_codes: list(codes)}
    rules = {"action": {"enum": actions}, "code": code}
    error = {"allOf": [{"$ref": "#/components/schemas/Error"}, {"properties": rules}]}
    example = {"error": text, "code": code[list_of_codes][0], "action": actions[0]}
    content = {"schema": error, "example": example}
    return {"description": text, "content": {"application/json": content}}
