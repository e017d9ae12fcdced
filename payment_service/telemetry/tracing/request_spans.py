"""The span of each request, as WSGI middleware.

opentelemetry-instrumentation-flask would record the caller's address, its user agent and the query
string, which names an order (docs/decisions/0011-traces.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Tracer

from payment_service.telemetry.tracing.current import current, fail

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication

# Load balancers call these every few seconds.
PROBES = frozenset({"/healthz", "/readyz"})

# Any other method is one that a caller invented.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"


class RequestHeaders(Getter[Mapping[str, Any]]):
    """Reads a request's headers from its WSGI environ."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        """Return the header's values, or None."""
        text = carrier.get(f"HTTP_{key.upper().replace('-', '_')}")
        return None if text is None else [text]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        """Return the names of all headers."""
        names = (name for name in carrier if name.startswith("HTTP_"))
        return [name.removeprefix("HTTP_").lower().replace("_", "-") for name in names]


_HEADERS = RequestHeaders()


class RequestSpans:
    """A WSGI application that gives each request of another one a span.

    The span continues the trace of the request's `traceparent`. It has the route, never the path
    of a request without one, and neither headers nor a query.
    """

    def __init__(self, app: WSGIApplication, tracer: Tracer, routes: Collection[str]) -> None:
        self._app, self._tracer, self._routes = app, tracer, frozenset(routes) - PROBES

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Call the application within a span."""
        path = environ.get("PATH_INFO", "")
        if path in PROBES:
            return self._app(environ, start_response)
        given = propagate.extract(environ, getter=_HEADERS)
        span = self._tracer.start_span(
            *_described(environ["REQUEST_METHOD"], path if path in self._routes else None, given)
        )
        with current(span, given):
            return self._app(environ, _noting(span, start_response))


def _described(method: str, route: str | None, given: Any) -> tuple[Any, ...]:
    """Return the first arguments of `start_span`: name, context, kind and attributes."""
    method = method if method in METHODS else OTHER_METHOD
    attributes = {"http.request.method": method}
    if route is None:
        return method, given, SpanKind.SERVER, attributes
    return f"{method} {route}", given, SpanKind.SERVER, {**attributes, "http.route": route}


def _noting(span: Span, start_response: StartResponse) -> Callable[..., Any]:
    """Return a `start_response` that also notes the status and the request's id."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        code = int(status[:3])
        span.set_attribute("http.response.status_code", code)
        if code >= 500:
            fail(span, str(code))
        for name, text in headers:
            if name == "X-Request-ID":
                span.set_attribute("payments.correlation_id", text)
        return start_response(status, headers, *exc_info)

    return start
