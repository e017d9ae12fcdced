"""An incoming request, and the faults and the log entry of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from sandbox.answers import JsonObject, Response
from sandbox.faults import FaultOrder
from sandbox.paypal.refusals import Refusal, parse_json
from sandbox.request import Request

KEPT = 2_000

_NO_BODY = b"{}"
_HTML = b"<html><head><title>One moment</title></head><body>Checking your browser.</body></html>"

# The faults with which PayPal itself rejects a request before it executes anything.
_REFUSED = {
    "unauthorized": (401, ()),
    "forbidden": (403, ("PERMISSION_DENIED",)),
    "key_in_use": (409, ()),
    "rate_limited": (429, ()),
    "error_503": (503, ()),
    "error_500_without_object": (500, ()),
}

# Faults of Stripe's stand-in that PayPal does not have.
UNSUPPORTED = frozenset({"lock_timeout", "late_object"})


def read_request(
    method: str, target: str, headers: Mapping[str, str], body: bytes, debug_id: str
) -> Request:
    """Parse a request as the faults see it: `key` is the PayPal-Request-Id.

    `params` has the order's id in its metadata, so that `order_id` of a fault matches it.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    path = target.partition("?")[0]
    key = lower.get("paypal-request-id") if method == "POST" else None
    params = {"metadata": {"order_id": _order_id(body)}} if method == "POST" else {}
    return Request(method, path, params, debug_id, "", key, lower)


def refusal_of(fault: FaultOrder | None, debug_id: str) -> Response | None:
    """Return the response of a fault that stops the request before its execution."""
    if fault is None or fault.kind not in _REFUSED:
        return None
    status, issues = _REFUSED[fault.kind]
    wait = fault.retry_after if fault.kind in ("rate_limited", "error_503") else None
    headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
    return Refusal(status, *issues).response(debug_id, headers)


def replaced(response: Response, fault: FaultOrder | None, debug_id: str) -> Response:
    """Replace the response of an executed request, if the fault says so."""
    match fault.kind if fault else None:
        case "error_500_with_object":
            return Refusal(500).response(debug_id)
        case "html":
            return Response(200, {"Content-Type": "text/html"}, _HTML)
        case "empty_object":
            return Response(200, {"Content-Type": "application/json"}, _NO_BODY)
    return response


def skips_api(fault: FaultOrder | None) -> bool:
    """Whether a server in front of the API answers, and nothing is executed."""
    return fault is not None and fault.kind in ("html", "empty_object") and not fault.executes


@dataclass(slots=True)
class Log:
    """The latest requests, and counts of all of them by method, route and status."""

    entries: deque[JsonObject] = field(default_factory=lambda: deque(maxlen=KEPT))
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, request: Request, at: float, status: int | None, fault: str | None) -> None:
        """Record one request. `status` is None if there was no response."""
        route = "/".join(
            ":id" if part.isupper() and part.isalnum() else part for part in request.path.split("/")
        )
        self.counts[f"{request.method} {route} {status or 'none'}"] += 1
        self.entries.append(
            {
                "at": at,
                "method": request.method,
                "path": request.path,
                "request_id": request.key,
                "status": status,
                "fault": fault,
            }
        )


def _order_id(body: bytes) -> str:
    """Return the last part of the custom_id, decoded; empty if there is none."""
    try:
        named = parse_json(body)["purchase_units"][0]["custom_id"]
        return unquote(str(named).rpartition(":")[2])
    except (Refusal, LookupError, TypeError):
        return ""
