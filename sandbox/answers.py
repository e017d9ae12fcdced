"""What the sandbox says: a Response, and the Refusal that becomes Stripe's error body."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """One answer as it goes over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint decided: all of a Response but the headers of this one request."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """A request that Stripe refuses; `error` is the inner object of the body."""

    def __init__(self, status: int, error: JsonObject, headers: dict[str, str] | None = None):
        super().__init__(error.get("message"))
        self.status = status
        self.error = error
        self.headers = headers or {}

    def answer(self) -> Answer:
        """The refusal in Stripe's error shape."""
        return Answer(self.status, encode({"error": self.error}), self.headers)


def encode(value: JsonObject) -> bytes:
    """JSON as bytes; no indent, because the standard library only hurries without it."""
    return json.dumps(value, separators=(",", ":")).encode()


def refusal(
    message: str,
    *,
    status: int = 400,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Refusal:
    """Build a Refusal with the fields that Stripe sends, `doc_url` among them."""
    error: JsonObject = {}
    if code:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{_dashed(code)}"}
    error["message"] = message
    if param:
        error["param"] = param
    return Refusal(status, {**error, **more, "type": kind}, headers)


def _dashed(code: str) -> str:
    return code.replace("_", "-")
