"""The headers of every response."""

from __future__ import annotations

from sandbox.answers import Answer, Response
from sandbox.request import Request


def reply(request: Request, answer: Answer, api_version: str, original: str | None) -> Response:
    """Build the response to a request; `original` is the id of the first request, for a replay."""
    headers = {
        "Content-Type": "application/json",
        "Request-Id": request.id,
        "Stripe-Version": request.version or api_version,
        **answer.headers,
    }
    if request.key:
        headers["Idempotency-Key"] = request.key
        headers["Original-Request"] = original or request.id
    if original:
        headers["Idempotent-Replayed"] = "true"
    return Response(answer.status, headers, answer.body)
