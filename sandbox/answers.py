"""Responses, and the Refusal exception that becomes Stripe's error body."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """A complete HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an endpoint: a Response without the headers of the individual request."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """Stripe rejects the request; `error` is the inner object of the response body."""

    def __init__(self, status: int, error: JsonObject, headers: dict[str, str] | None = None):
        super().__init__(error.get("message"))
        self.status = status
        self.error = error
        self.headers = headers or {}

    def answer(self) -> Answer:
        """Return the error in Stripe's format."""
        return Answer(self.status, encode({"error": self.error}), self.headers)


def encode(value: JsonObject) -> bytes:
    """Encode as JSON, without indentation: the standard library's fast encoder cannot indent."""
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
    """Build a Refusal with the fields that Stripe sends, including `doc_url`."""
    error: JsonObject = {}
    if code:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{_dashed(code)}"}
    error["message"] = message
    if param:
        error["param"] = param
    return Refusal(status, {**error, **more, "type": kind}, headers)


def _dashed(code: str) -> str:
    return code.replace("_", "-")
