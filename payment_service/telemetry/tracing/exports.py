"""Spans on their way to the collector: counted, and a failure logged once."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from payment_service.outage import Outage

# How long the end of a process waits for its last spans. A collector that is down must not hold
# up a deployment: the SDK alone would wait for half a minute.
EXIT_SECONDS = 3.0

log = logging.getLogger(__name__)


class Exports(SpanExporter):
    """Exports spans with another exporter, in the SDK's background thread.

    It counts them, and passes each kind of the other's log lines on once in an outage.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        count: Callable[[str, int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`count` gets the outcome, `exported` or `failed`, and the number of spans."""
        self._exporter, self._count, self._outage = exporter, count, Outage(clock)
        logging.getLogger(type(exporter).__module__).addFilter(self._is_news)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch; a failed one is lost."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            if self._outage.begins("raised"):
                log.exception("the exporter of traces failed")
            result = SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self._count("failed", len(spans))
            if self._outage.begins("failed"):
                log.warning("traces are lost: the collector does not take them")
            return result
        self._count("exported", len(spans))
        if self._outage.ends():
            log.warning("the collector takes traces again")
        return result

    def shutdown(self) -> None:
        """Close the connections."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """See SpanExporter."""
        return self._exporter.force_flush(timeout_millis)

    def _is_news(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.WARNING or self._outage.begins(record.msg)


def flush_at_exit(provider: TracerProvider, seconds: float = EXIT_SECONDS) -> None:
    """Export the last spans when this process ends, for at most `seconds`."""
    ending, ended, opened_in = threading.Event(), threading.Event(), os.getpid()

    def flush() -> None:
        ending.wait()
        provider.shutdown()
        ended.set()

    def at_exit() -> None:
        # A forked child inherits the function, but not the thread.
        if os.getpid() == opened_in:
            ending.set()
            ended.wait(seconds)

    # Started now, because Python 3.12 starts no thread at exit.
    threading.Thread(target=flush, name="traces", daemon=True).start()
    atexit.register(at_exit)
