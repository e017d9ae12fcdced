"""Error responses: one table of statuses, one JSON shape."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, g, jsonify
from werkzeug.exceptions import HTTPException

from payment_service import errors
from payment_service.errors import Forbidden, TooManyRequests, Unauthorized
from payment_service.schema.secret import redacted, shortened
from payment_service.web.access_control import too_many_requests

log = logging.getLogger("stripe_back_end_api")

FAILED = "Failed to create payment intent"

# Error → HTTP status and action; a class that is not listed inherits its parent's.
ERROR_RESPONSES: dict[type[Exception], tuple[int, str]] = {
    errors.BadRequest: (400, "fix_request"),
    errors.Refused: (400, "fix_request"),
    errors.CardRefused: (402, "fix_request"),
    errors.OrderReused: (422, "fix_request"),
    errors.NotFound: (404, "fix_request"),
    errors.Changed: (409, "fix_request"),
    errors.NoLongerOpen: (409, "fix_request"),
    errors.NotPaid: (409, "fix_request"),
    errors.NotAuthorized: (409, "fix_request"),
    errors.AlreadyCaptured: (409, "fix_request"),
    errors.RefundReused: (422, "fix_request"),
    errors.GatewayNotAccepted: (409, "fix_request"),
    errors.AlreadyPaid: (409, "stop"),
    errors.InFlight: (409, "retry_same"),
    errors.RateLimited: (429, "retry_same"),
    errors.Misconfigured: (500, "stop"),
    errors.GatewayFailed: (502, "retry_same"),
    errors.GatewayUnreachable: (503, "retry_same"),
    errors.StoreDown: (503, "retry_same"),
    errors.Overloaded: (503, "retry_same"),
    Unauthorized: (401, "fix_request"),
    Forbidden: (403, "fix_request"),
    TooManyRequests: (429, "retry_same"),
    errors.PaymentError: (500, "stop"),
}

# Codes of BadRequest whose status is not 400.
BAD_REQUEST_STATUSES = {"too_large": 413, "not_json": 415, "encoded_body": 415}

# Code and message of Flask's own HTTP errors.
HTTP_ERRORS = {
    404: ("not_found", "There is nothing at this address"),
    405: ("method_not_allowed", "This address does not take this method: see the Allow header"),
}
UNREADABLE = ("bad_request", "The request cannot be read")

# Every status that the service answers with.
STATUSES = frozenset(
    {200, *HTTP_ERRORS, *BAD_REQUEST_STATUSES.values(), *(s for s, _ in ERROR_RESPONSES.values())}
)


def add_error_handlers(app: Flask) -> None:
    """Answer every error in the one shape, Flask's own included."""

    @app.errorhandler(errors.PaymentError)
    def payment_error(error: errors.PaymentError) -> Response:
        status, action = status_and_action(error)
        facts = {**error.facts, "request_id": error.request_id}
        response = _error(status, error.code, error.message, action, facts)
        if error.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
        if error.code == "encoded_body":
            response.headers["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        _drop_tracebacks(error)
        return response

    @app.errorhandler(429)
    def limited(_: HTTPException) -> Response:
        return payment_error(too_many_requests())

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code, message = HTTP_ERRORS.get(status, UNREADABLE)
        response = _error(status, code, message, "fix_request")
        response.headers.extend(_allowed_methods(error))
        _drop_tracebacks(error)
        return response

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Response:
        log.error("internal error", exc_info=error)
        return _error(500, "internal", "an internal error", "stop")


def _drop_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of errors that became responses.

    A traceback refers to frames that refer to the error. This cycle would keep the whole request
    in memory until the garbage collector runs, which stops all requests.
    """
    held: list[BaseException | None] = [error]
    while held:
        each = held.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            held += [each.__cause__, each.__context__]


def status_and_action(error: errors.PaymentError) -> tuple[int, str]:
    """Return the HTTP status and the action of an error."""
    status, action = next(
        ERROR_RESPONSES[kind] for kind in type(error).__mro__ if kind in ERROR_RESPONSES
    )
    if isinstance(error, errors.BadRequest):
        status = BAD_REQUEST_STATUSES.get(error.code, status)
    return status, action


def _allowed_methods(error: HTTPException) -> dict[str, str]:
    methods = getattr(error, "valid_methods", None)
    return {"Allow": ", ".join(sorted(methods))} if methods else {}


def _error(
    status: int, code: str, message: str, action: str, facts: Mapping[str, Any] | None = None
) -> Response:
    if status >= 500 and not message.startswith(FAILED):
        message = f"{FAILED}: {message}"
    body = {"error": redacted(shortened(message)), "code": code, "action": action}
    body |= {name: value for name, value in (facts or {}).items() if value is not None}
    g.error_code = code
    response = jsonify(body)
    response.status_code = status
    return response
