"""Starts OpenTelemetry if the OTEL_ variables ask for traces; otherwise imports nothing of it."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from payment_service import __version__
from payment_service.settings.otel import asks_for_traces, traces_exporters
from payment_service.telemetry.tracing.none import NoTracing

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

NAME = "payment-service"

log = logging.getLogger(__name__)


def state() -> str:
    """Return `on`, `off`, or `off: ` and the reason why the SDK cannot start.

    Imports the packages if the OTEL_ variables ask for traces, so that forked processes share
    their memory.
    """
    asking = asks_for_traces()
    if asking is None:
        return "off"
    try:
        importlib.import_module("payment_service.telemetry.tracing.spans")
        importlib.import_module("payment_service.telemetry.tracing.exports")
        for name in traces_exporters():
            _exporter_class(name)
    except ModuleNotFoundError as missing:
        return f"off: {asking} is set, but {missing.name} is missing: pip install '.[tracing]'"
    except Exception as wrong:  # noqa: BLE001
        return f"off: {wrong}"
    return "on"


def open_tracing(count: Callable[[str, int], None], *, reported: bool = False) -> NoTracing:
    """Start the traces of this process: a background thread exports its spans.

    Call it after a fork. If the SDK cannot start, logs the reason, unless the server's master
    process has `reported` it, and goes on without traces. `count` gets `exported` or `failed`, and
    a number of spans.
    """
    found = state()
    if found == "on":
        try:
            return _started(count)
        except Exception as wrong:  # noqa: BLE001
            # A malformed variable of the SDK. Orders do not depend on it.
            log.warning("traces are off: %s", wrong)
    elif not reported:
        log_problem(found)
    return NoTracing()


def log_problem(found: str) -> None:
    """Log a warning if a `state` has a reason why the SDK cannot start."""
    if found.startswith("off:"):
        log.warning("traces are %s", found)


def _started(count: Callable[[str, int], None]) -> NoTracing:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from payment_service.telemetry.tracing.exports import Exports, flush_at_exit
    from payment_service.telemetry.tracing.spans import Tracing

    exporters = list(_exporters())
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    for each in exporters:
        provider.add_span_processor(BatchSpanProcessor(Exports(each, count)))
    flush_at_exit(provider)
    return Tracing(provider.get_tracer("payment_service", __version__))


def _exporters() -> Iterator[SpanExporter]:
    for name in traces_exporters():
        yield _exporter_class(name)()


def _exporter_class(name: str) -> Any:
    """Load the exporter of that name from the package that brings it."""
    for each in entry_points(group="opentelemetry_traces_exporter", name=name):
        return each.load()
    raise ValueError(f"no package that is installed has the exporter {name}")


def _resource() -> Resource:
    """Return what the OTEL_ variables say of this process, with our own name by default."""
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource

    given = Resource.create()
    own = {SERVICE_VERSION: __version__, **given.attributes}
    if str(own.get(SERVICE_NAME, "")).startswith("unknown_service"):
        own[SERVICE_NAME] = NAME
    return Resource(own, given.schema_url)
