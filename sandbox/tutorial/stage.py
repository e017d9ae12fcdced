"""Around the tutorial's server: who may ask, and the kill that /demo/faults orders."""

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

# Long enough for the answer to the kill to leave, short enough to be in mid-call.
LAST_WORDS_SECONDS = 0.05

LIST_PROCESSES = ("ps", "-A", "-o", "pid=,ppid=")

_TEXT = ("Content-Type", "text/plain; charset=utf-8")

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def staged(app: Wsgi, *, page_port: int, kill: Callable[[], None], source: bytes) -> Wsgi:
    """Let the demo's page use `app` from its own origin, and nobody else.

    `POST /kill` kills, `GET /source` shows the code.
    """
    origins = {f"http://{host}:{page_port}" for host in _LOOPBACK}

    def stage(environ: Environ, start: Start) -> Iterable[bytes]:
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

    return stage


def kill_workers_of(pid: int) -> None:
    """SIGKILL each child of a server, and this process: whoever supervises them starts others."""
    for child in children_of(pid):
        os.kill(child, signal.SIGKILL)
    threading.Timer(LAST_WORDS_SECONDS, os.kill, (os.getpid(), signal.SIGKILL)).start()


def children_of(pid: int) -> list[int]:
    """The processes that a process started."""
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
