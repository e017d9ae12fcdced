"""The service with a stop-watch at its seams: `gunicorn "benchmarks.split_app:timed()"`.

A thread's CPU time goes to one part at a time: a call into the next part stops the watch of the
part that calls. Each thread adds up in a row of its own of a file, which cpu_split reads.
"""

from __future__ import annotations

import itertools
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from payment_service.gateways.contract import Gateway
from payment_service.key_store.contract import KeyStore
from payment_service.payments.payments import Payments
from payment_service.settings import load_settings
from payment_service.telemetry import request_log
from payment_service.wiring import open_payments
from stripe_back_end_api import create_app

# Between requests the server's; its time is what is left of the process's.
SERVER, FRAMEWORK, VALIDATION, FLOW, LOG, STORE, STRIPE, ORDERS = range(8)

MAX_THREADS = 1024
DIRECTORY = "SPLIT_DIRECTORY"


class StopWatch:
    """Nanoseconds of CPU of each part, by thread."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(MAX_THREADS * 8 * (ORDERS + 1)))
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self._rows, self._mine = itertools.count(), threading.local()

    def during(self, part: int, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call, on this part's account."""
        before = self._switch(part)
        try:
            return call(*given, **named)
        finally:
            self._switch(before)

    def of(self, part: int, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same, on this part's account."""
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
    """An object whose methods are on one part's account."""

    def __init__(self, watch: StopWatch, part: int, timed: object) -> None:
        self._watch, self._part, self._timed = watch, part, timed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._timed, name)
        shown = self._watch.of(self._part, found) if callable(found) else found
        setattr(self, name, shown)
        return shown


class TimedLog(logging.Handler):
    """A handler whose work is the log's."""

    def __init__(self, watch: StopWatch, handler: logging.Handler) -> None:
        super().__init__()
        self.handle = watch.of(LOG, handler.handle)  # type: ignore[method-assign]


def timed() -> Callable[..., Any]:
    """Return the WSGI application."""
    watch = StopWatch(Path(os.environ[DIRECTORY]) / str(os.getpid()))
    settings = load_settings()
    request_log.start_logging(settings.log_level)
    root = logging.getLogger()
    root.handlers = [TimedLog(watch, handler) for handler in root.handlers]
    opened = open_payments(
        settings,
        observe=watch.of(LOG, request_log.tell_happening),
        tell=watch.of(LOG, request_log.tell_send),
        measured=lambda store: cast(KeyStore, Timed(watch, STORE, store)),
    )
    stripe = cast(Gateway, Timed(watch, STRIPE, opened.orders.tools.gateway))
    payments = Payments(replace(opened.orders.tools, gateway=stripe), settings)
    app = create_app(settings, cast(Payments, Timed(watch, FLOW, payments)))
    create = watch.of(VALIDATION, app.view_functions["create_payment_intent"])

    def counted() -> Any:
        watch.count()
        return create()

    app.view_functions["create_payment_intent"] = counted
    return watch.of(FRAMEWORK, app.wsgi_app)


def totals(directory: Path) -> Sequence[int]:
    """Return what all threads of all workers have come to: nanoseconds of each part, and ORDERS."""
    sums = [0] * (ORDERS + 1)
    for each in directory.iterdir():
        cells = memoryview(each.read_bytes()).cast("q")
        sums = [total + sum(cells[part :: ORDERS + 1]) for part, total in enumerate(sums)]
    return sums
