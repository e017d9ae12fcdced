"""The parts of which OpenAPI operations are made."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from payment_service.errors import (
    BadRequest,
    CardRefused,
    Forbidden,
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    Misconfigured,
    Overloaded,
    PaymentError,
    RateLimited,
    Refused,
    StoreDown,
    TooManyRequests,
    Unauthorized,
)
from payment_service.web.openapi.examples import ANSWERS, REQUESTS

# Errors of every route that calls a gateway.
PAYMENT_ERRORS: tuple[type[PaymentError], ...] = (
    BadRequest,
    Refused,
    CardRefused,
    InFlight,
    RateLimited,
    Misconfigured,
    GatewayFailed,
    GatewayUnreachable,
    StoreDown,
    Overloaded,
    PaymentError,
)
ACCESS_ERRORS: tuple[type[PaymentError], ...] = (Unauthorized, Forbidden, TooManyRequests)

REQUEST_ID: dict[str, Any] = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "Identifies the request in the log; the response repeats it.",
}


def body_of(model: type[Struct]) -> dict[str, Any]:
    """Return a reference to the schema of a request."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def post(
    name: str, summary: str, body: dict[str, Any], answer: dict[str, Any], errors: dict[str, Any]
) -> dict[str, Any]:
    """Return an operation with a JSON body."""
    content = {"application/json": {"schema": body, "examples": REQUESTS[name]}}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [REQUEST_ID],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answer, **errors},
    }


def errors_of(*more: type[PaymentError], guarded: bool) -> tuple[type[PaymentError], ...]:
    """Return the errors of a route that calls a gateway: the common ones and `more`."""
    return (*PAYMENT_ERRORS, *more, *(ACCESS_ERRORS if guarded else (TooManyRequests,)))


def guarded_by_proof(operation: dict[str, Any], *, guarded: bool) -> dict[str, Any]:
    """Return the operation, which needs a token or an API key if `guarded`."""
    return {**operation, "security": [{"proof": []}]} if guarded else operation


def plain(
    name: str, summary: str, schema: dict[str, Any], errors: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return an operation without a body and without access control."""
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [REQUEST_ID],
        "responses": {"200": answer(name, summary, schema), **(errors or {})},
    }


def answer(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a response of status 200, with its example."""
    content = {"application/json": {"schema": schema, "example": ANSWERS[name]}}
    return {"description": text, "content": content}


def replayable(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a response that may repeat an earlier one."""
    headers = {"Idempotent-Replayed": {"schema": {"const": "true"}}}
    return {**answer(name, text, schema), "headers": headers}
