"""Structured logs: one JSON object per line, or plain text on a terminal; secrets redacted."""

from __future__ import annotations

import json
import logging
import os
import random
import re
import sys
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO

from payment_service.payments.observer import ALARMS, EXPECTED
from payment_service.schema.secret import MAX_CHARACTERS, redacted, shortened

if TYPE_CHECKING:
    from payment_service.gateways.stripe.retry import RetryDetails
    from payment_service.gateways.stripe.send import Send
    from payment_service.payments.observer import Happening

# The attribute of our log records that holds the fields.
FACTS = "facts"

_payments, _requests = logging.getLogger("payments"), logging.getLogger("requests")

# The id of the current request, which every log line of the request carries.
correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)

# Fields for the current request's last line, collected so far: its order, its sends.
_request_fields: ContextVar[dict[str, Any] | None] = ContextVar("request_fields", default=None)

# The X-Request-ID that a caller may choose: short, of characters that are safe in a log.
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Enough to find a key in Stripe's dashboard.
KEY_CHARACTERS = len("order-") + 8

# Enough for a traceback with a few causes; that of a RecursionError has thousands of lines.
MAX_TRACE_LINES = 400

_to_json = json.JSONEncoder(default=str).encode

# The colour of each level on a terminal.
_COLOURS = {"DEBUG": 2, "INFO": 36, "WARNING": 33, "ERROR": 31, "CRITICAL": 31}

_EMPTY = {**vars(logging.makeLogRecord({})), "threadName": None}

_STANDARD = frozenset(_EMPTY) | {"message", "asctime", "taskName"}


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


def end_request() -> None:
    """End the log context of the request."""
    correlation_id.set(None)
    _request_fields.set(None)


def log_request(**facts: Any) -> None:
    """Log the request's last line, with all fields collected for it."""
    _write(_requests, logging.INFO, "request", {**(_request_fields.get() or {}), **facts})


def start_logging(level: str, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (default: stderr); a second call only sets the level."""
    root = logging.getLogger()
    root.setLevel(level)
    # The SDK repeats log_send's lines; on DEBUG it logs bodies with their client_secret.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    if any(isinstance(handler, _LogHandler) for handler in root.handlers):
        return
    handler = _LogHandler(stream or sys.stderr)
    handler.setFormatter(PlainText() if handler.stream.isatty() else JsonLines())
    root.addHandler(handler)


def log_happening(happening: Happening) -> None:
    """Log an event of an order, on level ERROR if a person must look.

    Expected events are logged on DEBUG, because the request's last line names the outcome.
    """
    order, level = happening.order, _level(happening.what)
    named = {
        "order": order.order_id,
        "client": order.client_id,
        "attempt": happening.attempt,
        "livemode": order.livemode,
    }
    add_fields(outcome=happening.what, **named)
    if _payments.isEnabledFor(level):
        _write(_payments, level, happening.what, {**named, **happening.facts})


def _level(what: str) -> int:
    if what in EXPECTED:
        return logging.DEBUG
    return logging.ERROR if what in ALARMS else logging.INFO


def log_send(send: Send) -> None:
    """Log a request to Stripe, with the reason of a failure.

    A success on the first send is logged on DEBUG, because the request's last line reports it.
    """
    expected = _add_send(send) and send.verdict is None and send.number == 1
    level = logging.DEBUG if expected else logging.WARNING if send.verdict else logging.INFO
    if _payments.isEnabledFor(level):
        _write(_payments, level, "sent", {**_order_of_request(), **_facts_of(send)})


def _add_send(send: Send) -> bool:
    """Add the send to the request's last line; return False outside of a request."""
    known = _request_fields.get()
    if known is None:
        return False
    known["sends"] = known.get("sends", 0) + 1
    known["stripe_seconds"] = round(known.get("stripe_seconds", 0.0) + send.seconds, 4)
    known["key"], known["stripe_request_id"] = _start_of_key(send), send.request_id
    return True


def _facts_of(send: Send) -> dict[str, Any]:
    verdict = send.verdict
    return {
        "method": send.method,
        "path": send.path,
        "send": send.number,
        "seconds": round(send.seconds, 4),
        "stripe_request_id": send.request_id,
        "key": _start_of_key(send),
        "status": verdict.status if verdict else 200,
        "reason": verdict.meaning.name.lower() if verdict else None,
    }


def _start_of_key(send: Send) -> str | None:
    return send.key[:KEY_CHARACTERS] if send.key else None


def log_retry(details: RetryDetails) -> None:
    """Log that a request to Stripe will be sent again, and when."""
    wait = round(details.wait_seconds, 3)
    facts = {**_order_of_request(), "send": details.send, "wait_seconds": wait}
    _write(_payments, logging.INFO, "will_send_again", facts)


def _write(log: logging.Logger, level: int, event: str, facts: Mapping[str, Any]) -> None:
    """Log one event. Its fields are one attribute of the record, which is faster than many."""
    if log.isEnabledFor(level):
        log.handle(_EventRecord(log.name, level, event, facts))


class _EventRecord(logging.LogRecord):
    """A log record without the costly lookup of the source file and thread name."""

    def __init__(self, name: str, level: int, event: str, facts: Mapping[str, Any]) -> None:
        now = time.time()
        vars(self).update(
            _EMPTY,
            name=name,
            levelno=level,
            levelname=logging.getLevelName(level),
            msg=event,
            created=now,
            msecs=now % 1 * 1000,
            # Handlers of other libraries may format these as numbers.
            process=os.getpid(),
            thread=threading.get_ident(),
        )
        vars(self)[FACTS] = facts


def _order_of_request() -> dict[str, Any]:
    known = _request_fields.get() or {}
    return {name: known[name] for name in ("order", "client", "attempt") if name in known}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with the fields of `extra` as its members."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": shortened(record.getMessage()),
            "correlation_id": correlation_id.get(),
            **{name: _truncated(value) for name, value in _extra(record).items()},
        }
        if record.exc_info:
            line["traceback"] = _truncated_trace(self.formatException(record.exc_info))
        return redacted(_to_json(line))


class PlainText(logging.Formatter):
    """Formats a record as plain text for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, and its traceback below it."""
        facts = "".join(
            f" {name}={_escaped(shortened(str(value)))}"
            for name, value in _extra(record).items()
            if value is not None
        )
        level = f"\x1b[{_COLOURS.get(record.levelname, 0)}m{record.levelname.lower():7}\x1b[0m"
        line = f"{_utc(record)} {level} {_escaped(shortened(record.getMessage()))}{facts}"
        if record.exc_info:
            trace = _truncated_trace(self.formatException(record.exc_info)).splitlines()
            line = "\n".join([line, *map(_escaped, trace)])
        return redacted(line)


class _LogHandler(logging.StreamHandler[TextIO]):
    """Our handler. Its class marks logging as started."""


def _escaped(text: str) -> str:
    """Escape control characters, so that input cannot move the cursor or forge a log line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _truncated(value: Any) -> Any:
    """Truncate a field. Other values than text become text only if that is too long."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, (bool, int, float, type(None))):
        return value
    text = str(value)
    return shortened(text) if len(text) > MAX_CHARACTERS else value


def _truncated_trace(text: str) -> str:
    """Truncate a traceback: each line, and the middle of many lines."""
    lines = [shortened(line) for line in text.splitlines()]
    if len(lines) > MAX_TRACE_LINES:
        half = MAX_TRACE_LINES // 2
        left_out = f"… ({len(lines) - MAX_TRACE_LINES} more lines)"
        lines = [*lines[:half], left_out, *lines[-half:]]
    return "\n".join(lines)


def _utc(record: logging.LogRecord) -> str:
    second, millisecond = divmod(int(record.created * 1000), 1000)
    return f"{_utc_second(second)}.{millisecond:03d}+00:00"


@lru_cache(2)
def _utc_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds")[:-6]


def _extra(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return the fields of one of our records, or the `extra` of another."""
    given = vars(record)
    if FACTS in given:
        facts: Mapping[str, Any] = given[FACTS]
        return facts
    return {name: value for name, value in given.items() if name not in _STANDARD}
