"""The spans of a process, made with OpenTelemetry's API."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer

from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.key_store.contract import KeyStore, Order
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.shop_events.outbox import NotAnswered
from payment_service.telemetry.gateway_operations import OTHER, ROUTE_OF
from payment_service.telemetry.tracing.current import current, fail, in_a_trace, plain
from payment_service.telemetry.tracing.none import NoTracing
from payment_service.telemetry.tracing.request_spans import RequestSpans
from payment_service.telemetry.tracing.store_spans import TracedStore

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from payment_service.background.loop import Job
    from payment_service.gateways.send_report import Send
    from payment_service.payments.observer import Observation
    from payment_service.payments.shop_events.outbox import Post


class Tracing(NoTracing):
    """Makes spans with a tracer. Their attributes hold no secret and nothing about a shopper."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def traced_app(self, app: WSGIApplication, routes: Collection[str]) -> WSGIApplication:
        """Wrap a WSGI application: a span for each request, named after its route."""
        return RequestSpans(app, self._tracer, routes)

    def traced_store(self, store: KeyStore, scheme: str) -> KeyStore:
        """Wrap a store: a span for each operation of a request or a job.

        `scheme`: that of KEY_STORE_URL.
        """
        return TracedStore(store, "redis" if scheme.startswith("redis") else scheme, self._tracer)

    def traced_job(self, job: Job, name: str) -> Job:
        """Wrap a job: a trace for each record that it handles.

        It is a new trace, because the record does not name the request that caused it.
        """
        return _TracedJob(job, name, self._tracer)

    def traced_post(self, post: Post) -> Post:
        """Wrap the post of an order event in a span; `outgoing_headers` names that span."""

        def traced(order: Order, body: bytes) -> int:
            with _span(self._tracer, "POST order event", SpanKind.CLIENT) as span:
                try:
                    status = post(order, body)
                except NotAnswered as silence:
                    fail(span, "no_answer")
                    failed = silence
                else:
                    span.set_attribute("http.response.status_code", status)
                    if status >= 300:
                        fail(span, str(status))
                    return status
            raise failed

        return traced

    def observation(self, seen: Observation) -> None:
        """Note an event of an order on the current span."""
        span = trace.get_current_span()
        if span.is_recording():
            facts = {"payments.attempt": seen.attempt, "payments.outcome": seen.what}
            span.set_attributes({**_names_of(seen.order), **facts})
            span.add_event(seen.what)

    def send(self, send: Send, gateway: str = DEFAULT_GATEWAY) -> None:
        """Make the span of a send that has just ended."""
        if not in_a_trace():
            return
        ended = time.time_ns()
        method, route = send.method.upper(), ROUTE_OF[gateway](send.path)
        known = {} if route == OTHER else {"url.template": route}
        span = self._tracer.start_span(
            f"{method} {route}" if known else method,
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method, **known, **_facts_of(send)},
            start_time=ended - int(send.seconds * 1e9),
        )
        if send.verdict is not None:
            fail(span, send.verdict.meaning.name.lower())
        span.end(ended)

    def outgoing_headers(self) -> Mapping[str, str]:
        """Return the headers that carry the current span to a server of the shop."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers


def _facts_of(send: Send) -> dict[str, str | int]:
    facts = {
        "http.response.status_code": send.status,
        "http.request.resend_count": send.number - 1 or None,
        "payments.gateway_request_id": send.request_id,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


class _TracedJob:
    """A Job in whose trace each record is handled."""

    def __init__(self, job: Job, name: str, tracer: Tracer) -> None:
        self._job, self._name, self._tracer = job, name, tracer

    def due(self, limit: int) -> list[OrderRecord]:
        """See Job."""
        return self._job.due(limit)

    def run(self, record: OrderRecord) -> bool:
        """See Job."""
        with _span(self._tracer, self._name, SpanKind.INTERNAL, Context()) as span:
            span.set_attributes(_names_of(record.order))
            return self._job.run(record)


@contextmanager
def _span(
    tracer: Tracer, name: str, kind: SpanKind, given: Context | None = None
) -> Iterator[Span]:
    span = tracer.start_span(name, given, kind)
    with current(span, given):
        try:
            yield span
        except Exception as wrong:
            fail(span, type(wrong).__name__)
            raise


def _names_of(order: Order) -> dict[str, str]:
    named = {"payments.order_id": plain(order.order_id)}
    client = order.client_id
    return named if client is None else {**named, "payments.client_id": plain(client)}
