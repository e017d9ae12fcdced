"""Core faults: the layer at which each one applies, and the response it produces."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from sandbox.answers import Answer, Refusal, Response, refusal
from sandbox.faults import FaultOrder
from sandbox.idempotency import key_in_use
from sandbox.limiter import lock_timeout, rate_limited

_LAYERS = {
    "unauthorized": "authentication",
    "forbidden": "authentication",
    "rate_limited": "limiter",
    "lock_timeout": "limiter",
    "error_503": "limiter",
    "key_in_use": "idempotency",
}

# Sent by a server in front of Stripe's API, which did not forward the request (RFC 9110, RFC 8470).
_EDGE_STATUSES = {
    "not_found_404": HTTPStatus.NOT_FOUND,
    "request_timeout_408": HTTPStatus.REQUEST_TIMEOUT,
    "misdirected_421": HTTPStatus.MISDIRECTED_REQUEST,
    "too_early_425": HTTPStatus.TOO_EARLY,
}

NO_RESULT = Answer(200, b"")

_HTML = b"<html><head><title>One moment</title></head><body>Checking your browser.</body></html>"


def refuse_as_ordered(fault: FaultOrder | None, layer: str, key: str = "") -> None:
    """Raise the Refusal of a fault that applies at this layer."""
    if fault and _LAYERS.get(fault.kind) == layer:
        refused = _refusal(fault, key)
        refused.headers |= _should_retry(fault)
        raise refused


def edge_response(fault: FaultOrder | None) -> Response | None:
    """Return the response of a server in front of the API: HTML, without Stripe's headers."""
    status = _EDGE_STATUSES.get(fault.kind) if fault else None
    if status is None:
        return None
    title = f"{status.value} {status.phrase}"
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(status.value, {"Content-Type": "text/html"}, body.encode())


def skips_api(fault: FaultOrder) -> bool:
    """Whether an intermediary answers with 200 and the request never reaches the API."""
    return fault.kind in ("html", "empty_object") and not fault.executes


def saved_500(fault: FaultOrder | None) -> Answer:
    """Return the 500 of an endpoint that started to execute, which is saved under the key."""
    message = (
        "An unknown error occurred. We've been notified and are looking into it; contact us at "
        "https://support.stripe.com/ if the problem persists."
    )
    answer = refusal(message, status=500, kind="api_error").answer()
    return replace(answer, headers=_should_retry(fault))


def replace_body(answer: Answer, fault: FaultOrder | None) -> Answer:
    """Replace the result by the 200 of an intermediary, if the fault says so."""
    if fault and fault.kind == "html":
        return Answer(200, _HTML, {"Content-Type": "text/html; charset=utf-8"})
    if fault and fault.kind == "empty_object":
        return Answer(200, b"{}")
    return answer


def _refusal(fault: FaultOrder, key: str) -> Refusal:
    match fault.kind:
        case "unauthorized":
            return refusal("Invalid API Key provided: ****", status=401)
        case "forbidden":
            message = "The provided key does not have the required permissions for this endpoint."
            return refusal(message, status=403)
        case "rate_limited":
            return rate_limited(fault.retry_after)
        case "lock_timeout":
            return lock_timeout(fault.retry_after)
        case "key_in_use":
            return key_in_use(key)
        case _:
            return refusal("The service is unavailable.", status=503, kind="api_error")


def _should_retry(fault: FaultOrder | None) -> dict[str, str]:
    if fault is None or fault.should_retry is None:
        return {}
    return {"Stripe-Should-Retry": "true" if fault.should_retry else "false"}
