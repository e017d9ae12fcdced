"""Log lines: one JSON object per line, plain text on a terminal, secrets taken out of both."""

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

from payment_service.payments.observer import ALARMS, EXPECTED
from payment_service.telemetry.formatters import EMPTY, FACTS, JsonLines, Plain, correlation_id

if TYPE_CHECKING:
    from payment_service.gateways.sends import RetryDetails, Send
    from payment_service.payments.observer import Happening


_payments, _requests = logging.getLogger("payments"), logging.getLogger("requests")


# What is known of the request so far: its order, its sends; for its last line.
_known: ContextVar[dict[str, Any] | None] = ContextVar("known", default=None)

# What a caller sends as X-Request-ID is written to the log: short, and of harmless characters.
_HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Enough to find a key in Stripe's dashboard.
KEY_CHARACTERS = len("order-") + 8


def new_correlation_id(asked_for: str | None) -> str:
    """Return the caller's own id where it is harmless, else a new one."""
    if asked_for is not None and _HARMLESS.fullmatch(asked_for):
        return asked_for
    # Told apart from others, not kept from anybody: the kernel need not be asked.
    return f"{random.getrandbits(128):032x}"


def begin_request(asked_for: str | None) -> str:
    """Start to follow a request through its lines; return its correlation id."""
    given = new_correlation_id(asked_for)
    correlation_id.set(given)
    _known.set({})
    return given


def know(**facts: Any) -> None:
    """Say something of the request, for its last line."""
    known = _known.get()
    if known is not None:
        known.update(facts)


def end_request() -> None:
    """Stop following it."""
    correlation_id.set(None)
    _known.set(None)


def tell_request(**facts: Any) -> None:
    """Log a request that was answered, with what became known of it."""
    _write(_requests, logging.INFO, "request", {**(_known.get() or {}), **facts})


def start_logging(level: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines to `stream` (standard error); a second call only sets the level."""
    root = logging.getLogger()
    root.setLevel(level)
    # The SDK repeats what tell_send says, and on DEBUG whole bodies with their client_secret.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    if any(isinstance(handler, _OurHandler) for handler in root.handlers):
        return
    handler = _OurHandler(stream or sys.stderr)
    handler.setFormatter(Plain() if handler.stream.isatty() else JsonLines())
    root.addHandler(handler)


def tell_happening(happening: Happening) -> None:
    """Log one thing that happened to an order: an error where a person must look.

    What is as it should be is a line on DEBUG only: the request's last line names the outcome.
    """
    order, level = happening.order, _level(happening.what)
    named = {
        "order": order.order_id,
        "client": order.client_id,
        "attempt": happening.attempt,
        "livemode": order.livemode,
    }
    know(outcome=happening.what, **named)
    if _payments.isEnabledFor(level):
        _write(_payments, level, happening.what, {**named, **happening.facts})


def _level(what: str) -> int:
    if what in EXPECTED:
        return logging.DEBUG
    return logging.ERROR if what in ALARMS else logging.INFO


def tell_send(send: Send) -> None:
    """Log one request to Stripe, with the reason where it brought no object.

    One that brought it at once is a line on DEBUG only, where a request's last line tells of it.
    """
    smooth = _knows_of(send) and send.verdict is None and send.number == 1
    level = logging.DEBUG if smooth else logging.WARNING if send.verdict else logging.INFO
    if _payments.isEnabledFor(level):
        _write(_payments, level, "sent", {**_order_of_request(), **_facts_of(send)})


def _knows_of(send: Send) -> bool:
    """Say of the send what the request's last line tells; False where it is no request's."""
    known = _known.get()
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


def tell_retry(details: RetryDetails) -> None:
    """Log that a request to Stripe is sent again, and when."""
    wait = round(details.wait_seconds, 3)
    facts = {**_order_of_request(), "send": details.send, "wait_seconds": wait}
    _write(_payments, logging.INFO, "will_send_again", facts)


def _write(log: logging.Logger, level: int, event: str, facts: Mapping[str, Any]) -> None:
    """Log a line of ours. The facts are one attribute of its record, which is quicker than many."""
    if log.isEnabledFor(level):
        log.handle(_Line(log.name, level, event, facts))


class _Line(logging.LogRecord):
    """A record of ours: without the look for the file and the name of the thread."""

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
            # A handler of somebody else's may write them, and as numbers.
            process=os.getpid(),
            thread=threading.get_ident(),
        )
        vars(self)[FACTS] = facts


def _order_of_request() -> dict[str, Any]:
    known = _known.get() or {}
    return {name: known[name] for name in ("order", "client", "attempt") if name in known}


class _OurHandler(logging.StreamHandler[TextIO]):
    """Known by its class, so that logging is started once."""
