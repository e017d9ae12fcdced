"""An OTLP collector: an HTTP server on loopback that keeps the spans which it receives."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span; ids are hexadecimal, and `parent` is empty for a root. `failed`: an error status."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: Mapping[str, Any]


class Collector(ThreadingHTTPServer):
    """Takes protobuf over HTTP; answers with `status`. A context manager closes it."""

    daemon_threads = True

    def __init__(self, status: int = 200, delay_seconds: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.status, self.delay_seconds = status, delay_seconds
        self.closing = threading.Event()
        self.bodies: list[bytes] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[ReceivedSpan]:
        """Return the spans, in the sequence in which they ended."""
        return [span for body in list(self.bodies) for span in _spans_of(body)]

    def of(self, service: str, name: str = "") -> list[ReceivedSpan]:
        """Return the spans of a service, of that name if one is given."""
        return [
            each for each in self.spans() if each.service == service and name in ("", each.name)
        ]


class _Take(BaseHTTPRequestHandler):
    server: Collector
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        collector = self.server
        collector.closing.wait(collector.delay_seconds)
        if collector.status == 200 and self.path == "/v1/traces":
            collector.bodies.append(body)
        self.send_response(collector.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _spans_of(body: bytes) -> list[ReceivedSpan]:
    received = ExportTraceServiceRequest.FromString(body)
    return [
        ReceivedSpan(
            _plain(of_process.resource.attributes)["service.name"],
            span.name,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.status.code == span.status.STATUS_CODE_ERROR,
            _plain(span.attributes),
        )
        for of_process in received.resource_spans
        for scope in of_process.scope_spans
        for span in scope.spans
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
