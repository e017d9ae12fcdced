"""The log of a request: its correlation id, and its last line, which collects what it did."""

from __future__ import annotations

import logging
import random
import re
from contextvars import ContextVar
from typing import Any

from payment_service.telemetry.formatters import correlation_id
from payment_service.telemetry.logs import write_event

_requests = logging.getLogger("requests")

# Fields for the current request's last line, collected so far: its order, its sends.
_request_fields: ContextVar[dict[str, Any] | None] = ContextVar("request_fields", default=None)

# The X-Request-ID that a caller may choose: short, of characters that are safe in a log.
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_correlation_id(asked_for: str | None) -> str:
    """Return the caller's id if it is safe to log, else a new one."""
    if asked_for is not None and _SAFE_ID.fullmatch(asked_for):
        return asked_for
    # The id must be unique, but not secret, so it needs no system call for secure random bits.
    return f"{random.getrandbits(128):032x}"


def begin_request(asked_for: str | None) -> str:
    """Start the log context of a request; return its correlation id."""
    given = new_correlation_id(asked_for)
    correlation_id.set(given)
    _request_fields.set({})
    return given


def add_fields(**facts: Any) -> None:
    """Add fields to the request's last line."""
    known = _request_fields.get()
    if known is not None:
        known.update(facts)


def collected_fields() -> dict[str, Any] | None:
    """Return the fields of the request's last line so far; None outside of a request."""
    return _request_fields.get()


def end_request() -> None:
    """End the log context of the request."""
    correlation_id.set(None)
    _request_fields.set(None)


def log_request(**facts: Any) -> None:
    """Log the request's last line, with all fields collected for it."""
    write_event(_requests, logging.INFO, "request", {**(_request_fields.get() or {}), **facts})
