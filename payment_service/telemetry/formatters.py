"""Log lines as text: one JSON object per line, or plain text on a terminal, without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from payment_service.schema.secret import MAX_CHARACTERS, redacted, shortened

# The attribute of our log records that holds the fields.
FACTS = "facts"

# The id of the current request, which every log line of the request carries.
correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)

# The trace of the current request or background job, while traces are on.
trace_id: ContextVar[str | None] = ContextVar("trace_id", default=None)

# Enough for a traceback with a few causes; that of a RecursionError has thousands of lines.
MAX_TRACE_LINES = 400

_to_json = json.JSONEncoder(default=str).encode

# The colour of each level on a terminal.
_COLOURS = {"DEBUG": 2, "INFO": 36, "WARNING": 33, "ERROR": 31, "CRITICAL": 31}

EMPTY = {**vars(logging.makeLogRecord({})), "threadName": None}

_STANDARD = frozenset(EMPTY) | {"message", "asctime", "taskName"}


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
        if trace := trace_id.get():
            line["trace_id"] = trace
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


def _escaped(text: str) -> str:
    """Nothing that a caller sent may move the cursor or pretend to be another line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _truncated(value: Any) -> Any:
    """Bound a fact; what is not text is written as its text would be, if that is long."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, (bool, int, float, type(None))):
        return value
    text = str(value)
    return shortened(text) if len(text) > MAX_CHARACTERS else value


def _truncated_trace(text: str) -> str:
    """Bound a traceback: its lines each, and of many the first and the last."""
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
    """Return the facts of a line of ours, or what others gave as `extra`."""
    given = vars(record)
    if FACTS in given:
        facts: Mapping[str, Any] = given[FACTS]
        return facts
    return {name: value for name, value in given.items() if name not in _STANDARD}
