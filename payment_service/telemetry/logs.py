"""Starts logging, and writes events: a name, and fields for a program to read."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from payment_service.telemetry.formatters import EMPTY, FACTS, JsonLines, PlainText


def start_logging(level: str, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (default: stderr); a second call only sets the level."""
    root = logging.getLogger()
    root.setLevel(level)
    # The SDK repeats the lines of payment_log; on DEBUG it logs bodies with their client_secret.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    if any(isinstance(handler, _LogHandler) for handler in root.handlers):
        return
    handler = _LogHandler(stream or sys.stderr)
    handler.setFormatter(PlainText() if handler.stream.isatty() else JsonLines())
    root.addHandler(handler)


def write_event(log: logging.Logger, level: int, event: str, facts: Mapping[str, Any]) -> None:
    """Log one event. Its fields are one attribute of the record, which is faster than many."""
    if log.isEnabledFor(level):
        log.handle(_EventRecord(log.name, level, event, facts))


class _EventRecord(logging.LogRecord):
    """A log record without the costly lookup of the source file and thread name."""

    def __init__(self, name: str, level: int, event: str, facts: Mapping[str, Any]) -> None:
        now = time.time()
        vars(self).update(
            EMPTY,
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


class _LogHandler(logging.StreamHandler[TextIO]):
    """Our handler. Its class marks logging as started."""
