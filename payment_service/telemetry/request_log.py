"""Structured logs: one JSON object per line, or plain text on a terminal; secrets redacted."""

from __future__ import annotations

import logging
import os
import random
import re
import sys
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.payments.observer import ALARMS, EXPECTED
from payment_service.telemetry.formatters import EMPTY, FACTS, JsonLines, PlainText, correlation_id

if TYPE_CHECKING:
    from payment_service.gateways.send_report import RetryDetails, Send
    from payment_service.payments.observer import Observation


_payments, _requests = logging.getLogger("payments"), logging.getLogger("requests")

# Fields for the current request's last line, collected so far: its order, its sends.
_request_fields: ContextVar[dict[str, Any] | None] = ContextVar("request_fields", default=None)

# The X-Request-ID that a caller may choose: short, of characters that are safe in a log.
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Enough to find a key in Stripe's dashboard.
KEY_CHARACTERS = len("order-") + 8


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


def log_observation(seen: Observation) -> None:
    """Log an event of an order, on level ERROR if a person must look.

    Expected events are logged on DEBUG, because the request's last line names the outcome.
    """
    order, level = seen.order, _level(seen.what)
    named = {
        "order": order.order_id,
        "client": order.client_id,
        "attempt": seen.attempt,
        "livemode": order.livemode,
    }
    add_fields(outcome=seen.what, **named)
    if _payments.isEnabledFor(level):
        _write(_payments, level, seen.what, {**named, **seen.facts})


def _level(what: str) -> int:
    if what in EXPECTED:
        return logging.DEBUG
    return logging.ERROR if what in ALARMS else logging.INFO


def log_send(send: Send, gateway: str | None = None) -> None:
    """Log a request to a gateway, with the reason of a failure.

    A success on the first send is logged on DEBUG, because the request's last line reports it.
    `gateway`: its name where the service has several; None means Stripe.
    """
    expected = _add_send(send, gateway) and send.verdict is None and send.number == 1
    level = logging.DEBUG if expected else logging.WARNING if send.verdict else logging.INFO
    if _payments.isEnabledFor(level):
        _write(_payments, level, "sent", {**_order_of_request(), **_facts_of(send, gateway)})


def _add_send(send: Send, gateway: str | None) -> bool:
    """Add the send to the request's last line; return False outside of a request."""
    title = gateway or DEFAULT_GATEWAY
    known = _request_fields.get()
    if known is None:
        return False
    known["sends"] = known.get("sends", 0) + 1
    spent = known.get(f"{title}_seconds", 0.0)
    known[f"{title}_seconds"] = round(spent + send.seconds, 4)
    known["key"], known[f"{title}_request_id"] = _start_of_key(send), send.request_id
    return True


def _facts_of(send: Send, gateway: str | None) -> dict[str, Any]:
    verdict = send.verdict
    return {
        **({"gateway": gateway} if gateway else {}),
        "method": send.method,
        "path": send.path,
        "send": send.number,
        "seconds": round(send.seconds, 4),
        f"{gateway or DEFAULT_GATEWAY}_request_id": send.request_id,
        "key": _start_of_key(send),
        "status": send.status,
        "reason": verdict.meaning.name.lower() if verdict else None,
        **({"phase": send.phase} if send.phase else {}),
        **({"cause": send.cause} if send.cause else {}),
    }


def _start_of_key(send: Send) -> str | None:
    return send.key[:KEY_CHARACTERS] if send.key else None


def log_retry(details: RetryDetails) -> None:
    """Log that a request to Stripe will be sent again, and when."""
    wait = round(details.wait_seconds, 3)
    facts = {**_order_of_request(), "send": details.send, "wait_seconds": wait}
    _write(_payments, logging.INFO, "will_send_again", facts)


def log_circuit(gateway: str, change: str) -> None:
    """Log that new orders of this process avoid a gateway, or no longer do."""
    level = logging.WARNING if change == "circuit_opened" else logging.INFO
    _write(_payments, level, change, {"gateway": gateway})


def _write(log: logging.Logger, level: int, event: str, facts: Mapping[str, Any]) -> None:
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


def _order_of_request() -> dict[str, Any]:
    known = _request_fields.get() or {}
    return {name: known[name] for name in ("order", "client", "attempt") if name in known}


class _LogHandler(logging.StreamHandler[TextIO]):
    """Our handler. Its class marks logging as started."""
