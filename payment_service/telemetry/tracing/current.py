"""The current span, for OpenTelemetry's context and for the log lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode

from payment_service.schema.secret import redacted, shortened
from payment_service.telemetry.formatters import trace_id

# Longer than any order's name.
MAX_CHARACTERS = 300


@contextmanager
def current(span: Span, given: Context | None = None) -> Iterator[None]:
    """Make a span the current one of this thread, and end it; log lines get its trace id."""
    token = context.attach(trace.set_span_in_context(span, given))
    logged = trace_id.set(trace.format_trace_id(span.get_span_context().trace_id))
    try:
        yield
    finally:
        trace_id.reset(logged)
        context.detach(token)
        span.end()


def in_a_trace() -> bool:
    """Whether this thread has a current span.

    Polls, leases and samples have none. A span of their own would be a trace of nothing.
    """
    return trace.get_current_span().get_span_context().is_valid


def fail(span: Span, kind: str) -> None:
    """Mark a span as failed. `kind` is one of few words."""
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR))


def plain(text: str) -> str:
    """Return a text from outside without secrets, and not too long."""
    return redacted(shortened(text, MAX_CHARACTERS))
