"""The service with CPU timers between its components: `gunicorn "benchmarks.split_app:timed()"`.

A thread's CPU time belongs to one component at a time: a call into another component switches the
timer. Each thread adds to its own row of a file, which cpu_split reads.
"""

from __future__ import annotations

import itertools
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from payment_service.gateways.contract import Gateway
from payment_service.key_store.contract import KeyStore
from payment_service.payments.payments import Payments
from payment_service.settings import load_settings
from payment_service.telemetry import payment_log
from payment_service.telemetry.logs import start_logging
from payment_service.wiring import open_payments
from stripe_back_end_api import create_app

# SERVER is the remainder: the process's CPU time without all the other parts.
SERVER, FRAMEWORK, VALIDATION, FLOW, LOG, STORE, STRIPE, ORDERS = range(8)

MAX_THREADS = 1024
DIRECTORY = "SPLIT_DIRECTORY"


class StopWatch:
    """CPU time of each part in nanoseconds, by thread."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(MAX_THREADS * 8 * (ORDERS + 1)))
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self._rows, self._mine = itertools.count(), threading.local()

    def during(self, part: int, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call a function and charge its time to a part."""
        before = self._switch(part)
        try:
            return call(*given, **named)
        finally:
            self._switch(before)

    def of(self, part: int, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that its time is charged to a part."""
        return lambda *given, **named: self.during(part, call, *given, **named)

    def count(self) -> None:
        """Count an order."""
        self._cells[self._mine.row + ORDERS] += 1

    def _switch(self, part: int) -> int:
        now, mine = time.thread_time_ns(), self._mine
        if not hasattr(mine, "row"):
            mine.row, mine.part, mine.since = next(self._rows) * (ORDERS + 1), SERVER, now
        self._cells[mine.row + mine.part] += now - mine.since
        before: int = mine.part
        mine.part, mine.since = part, now
        return before


class Timed:
    """A proxy that charges the time of an object's methods to one part."""

    def __init__(self, watch: StopWatch, part: int, timed: object) -> None:
        self._watch, self._part, self._timed = watch, part, timed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._timed, name)
        shown = self._watch.of(self._part, found) if callable(found) else found
        setattr(self, name, shown)
        return shown


class TimedLog(logging.Handler):
    """A handler that charges its time to the log."""

    def __init__(self, watch: StopWatch, handler: logging.Handler) -> None:
        super().__init__()
        self.handle = watch.of(LOG, handler.handle)  # type: ignore[method-assign]


def timed() -> Callable[..., Any]:
    """Return the instrumented WSGI application."""
    watch = StopWatch(Path(os.environ[DIRECTORY]) / str(os.getpid()))
    settings = load_settings()
    start_logging(settings.log_level)
    root = logging.getLogger()
    root.handlers = [TimedLog(watch, handler) for handler in root.handlers]
    opened = open_payments(
        settings,
        observe=watch.of(LOG, payment_log.log_observation),
        report=watch.of(LOG, lambda send, _: payment_log.log_send(send)),
        measured=lambda store: cast(KeyStore, Timed(watch, STORE, store)),
    )
    stripe = cast(Gateway, Timed(watch, STRIPE, opened.orders.context.gateway))
    payments = Payments(replace(opened.orders.context, gateway=stripe), settings)
    app = create_app(settings, cast(Payments, Timed(watch, FLOW, payments)))
    create = watch.of(VALIDATION, app.view_functions["create_payment_intent"])

    def counted() -> Any:
        watch.count()
        return create()

    app.view_functions["create_payment_intent"] = counted
    return watch.of(FRAMEWORK, app.wsgi_app)


def totals(directory: Path) -> Sequence[int]:
    """Return the totals of all threads: nanoseconds of each part, and the orders."""
    sums = [0] * (ORDERS + 1)
    for each in directory.iterdir():
        cells = memoryview(each.read_bytes()).cast("q")
        sums = [total + sum(cells[part :: ORDERS + 1]) for part, total in enumerate(sums)]
    return sums
