"""Responses that the server itself gives, because no request reached the application."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from gunicorn.http.errors import (
    ConfigurationProblem,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    ParseException,
)

# Parse errors that the caller did not cause.
_OURS = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)

_ORIGIN = re.compile(rb"\r\norigin:[ \t]*([\x21-\x7e]+)[ \t]*\r\n", re.IGNORECASE)


def error_response(exc: Exception, head: bytes, origins: Collection[str]) -> tuple[int, bytes]:
    """Return the status and the bytes of the response to a request that raised `exc`.

    `head` is what was read of the request, and `origins` are those whose pages may read a response.
    """
    if isinstance(exc, ParseException) and not isinstance(exc, _OURS):
        status, reason = 400, "Bad Request"
        error = ("The request cannot be read", "bad_request", "fix_request")
    else:
        status, reason = 500, "Internal Server Error"
        error = ("The request failed", "internal", "stop")
    body = json.dumps(dict(zip(("error", "code", "action"), error, strict=True)))
    lines = [
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: application/json",
        "Cache-Control: no-store",
        f"Content-Length: {len(body)}",
        *_cors_headers(head, origins),
    ]
    return status, ("\r\n".join([*lines, "", body])).encode()


def _cors_headers(head: bytes, origins: Collection[str]) -> list[str]:
    """Return the headers that let the requesting page read the response, if its origin may.

    The head is not parsed, so this compares with the list, and repeats only what the list has.
    """
    found = _ORIGIN.search(head.partition(b"\r\n\r\n")[0] + b"\r\n")
    origin = found[1].decode("ascii") if found else None
    if origin not in origins:
        return ["Vary: Origin"] if origins else []
    return [f"Access-Control-Allow-Origin: {origin}", "Vary: Origin"]
