"""The sandbox's HTTP/1.1 server: keep-alive, one thread per connection."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol

from sandbox.answers import Response
from sandbox.control import PREFIX
from sandbox.faults import FaultOrder
from sandbox.pages import find_page
from sandbox.transport_faults import Work, send, serve_with_fault

# More than Stripe accepts, and a bound on the memory that a client can use.
MAX_BODY = 4 << 20

# As Stripe does, so that a page of any origin can send requests with its publishable key.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Request-Id, Idempotent-Replayed, Stripe-Should-Retry",
}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Max-Age": "300",
}


class Core(Protocol):
    """A provider's API without sockets: a request begins, and ends with its response."""

    clock: Callable[[], float]

    def draw_transport_fault(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> FaultOrder | None:
        """Return the transport fault of this request."""

    def begin(
        self, method: str, target: str, headers: dict[str, str], body: bytes, *, note: str | None
    ) -> Any:
        """Return the response, or the execution of a request that has begun."""

    def finish(self, execution: Any) -> Response:
        """Execute the request and return the response."""


class Controls(Protocol):
    """The control endpoints of a core."""

    def answer(self, method: str, path: str, body: bytes) -> Response:
        """Answer one control request."""


class SandboxServer(ThreadingHTTPServer):
    """Listens once constructed; set `control` before `serve_forever`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    control: Controls

    def __init__(self, address: tuple[str, int], sandbox: Core) -> None:
        self.sandbox = sandbox
        self.latency_seconds = 0.0
        self.closing = threading.Event()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def url(self) -> str:
        """The base address of the server."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop serving and release the port."""
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed its connection; print anything else, which is a bug."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection; implements the Wire of the transport faults."""

    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    server: SandboxServer

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - names that http.server requires

    def do_OPTIONS(self) -> None:
        asked = self.headers.get("Access-Control-Request-Headers", "")
        headers = PREFLIGHT | ({"Access-Control-Allow-Headers": asked} if asked else {})
        send(Response(200, headers, b""), self)

    def begin_answer(self, response: Response) -> None:
        self.send_response_only(response.status)
        self.send_header("Date", self.date_time_string(self.server.sandbox.clock()))
        for name, value in (CORS | response.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def write(self, part: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(part)
        self.wfile.flush()

    def cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing: /_sandbox/requests has the log."""

    def _serve(self) -> None:
        announced = self.headers.get("Content-Length", "0")
        length = int(announced) if announced.isdecimal() else None
        if length is None or length > MAX_BODY:
            self.close_connection = True
            send(Response(400 if length is None else 413, {}, b""), self)
            return
        body = self.rfile.read(length)
        path = self.path.partition("?")[0]
        page = find_page(path) if self.command in ("GET", "HEAD") else None
        if page:
            send(page, self)
        elif path.startswith(PREFIX):
            send(self.server.control.answer(self.command, path, body), self)
        else:
            self._serve_api(body)

    def _serve_api(self, body: bytes) -> None:
        sandbox = self.server.sandbox
        request = (self.command, self.path, dict(self.headers), body)
        fault = sandbox.draw_transport_fault(*request)

        def begin() -> Any:
            return sandbox.begin(*request, note=fault.kind if fault else None)

        work: Work[Any] = Work(begin, sandbox.finish, self.server.closing.wait)
        if fault:
            serve_with_fault(fault, work, self)
        else:
            self._serve_normally(work)

    def _serve_normally(self, work: Work[Any]) -> None:
        started = work.begin()
        if not isinstance(started, Response):
            if self.server.latency_seconds:
                work.wait(self.server.latency_seconds)
            started = work.finish(started)
        send(started, self)
