"""WSGI middleware of the tutorial's server: access for the demo's page only, and `POST /kill`."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
Start = Callable[..., Any]
Wsgi = Callable[[Environ, Start], Iterable[bytes]]

# Long enough to send the response to the kill, short enough to interrupt a call to Stripe.
KILL_DELAY_SECONDS = 0.05

LIST_PROCESSES = ("ps", "-A", "-o", "pid=,ppid=")

_TEXT = ("Content-Type", "text/plain; charset=utf-8")

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def restricted_to_page(
    app: Wsgi, *, page_port: int, kill: Callable[[], None], source: bytes
) -> Wsgi:
    """Allow requests to `app` from the demo page's origin only.

    Adds `POST /kill`, which kills the workers, and `GET /source`, which returns the code.
    """
    origins = {f"http://{host}:{page_port}" for host in _LOOPBACK}

    def restricted(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/healthz":
            return _plain(start, "200 OK", [_TEXT], b"{}")
        origin = environ.get("HTTP_ORIGIN", "")
        if origin not in origins:
            return _plain(start, "403 Forbidden", [])
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return _plain(start, "204 No Content", _cors(origin))
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("POST", "/kill"):
            kill()
            return _plain(start, "204 No Content", _cors(origin))
        if environ["PATH_INFO"] == "/source":
            return _plain(start, "200 OK", [*_cors(origin), _TEXT], source)

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, headers + _cors(origin), *more)

        return app(environ, begin)

    return restricted


def kill_workers_of(pid: int) -> None:
    """SIGKILL each child of a server, and this process; their supervisors restart them."""
    for child in children_of(pid):
        os.kill(child, signal.SIGKILL)
    threading.Timer(KILL_DELAY_SECONDS, os.kill, (os.getpid(), signal.SIGKILL)).start()


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    listed = subprocess.run(LIST_PROCESSES, capture_output=True, text=True, check=True)  # noqa: S603
    pairs = (map(int, line.split()) for line in listed.stdout.splitlines())
    return [child for child, parent in pairs if parent == pid]


def _cors(origin: str) -> list[tuple[str, str]]:
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Headers", "Content-Type"),
        ("Access-Control-Max-Age", "600"),
        ("Vary", "Origin"),
    ]


def _plain(
    start: Start, status: str, headers: list[tuple[str, str]], body: bytes = b""
) -> Iterable[bytes]:
    start(status, headers)
    return [body]
