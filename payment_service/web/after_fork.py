"""Build the service again where it was built before a fork: for servers that load it first.

uWSGI does, and gunicorn with --preload. The parent's connections, locks and threads are none of the
child's: two that share a connection read each other's answers, and the threads are not there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Wsgi = Callable[[Any, Any], Iterable[bytes]]


class EachProcess:
    """A WSGI service that answers with what its own process has built."""

    def __init__(self, built: Wsgi, build: Callable[[], Wsgi]) -> None:
        """`built` is this process's; others call `build` when they are asked first."""
        self._wsgi, self._build, self._pid = built, build, os.getpid()
        self._building = threading.Lock()

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._pid != os.getpid():
            self._renew()
        return self._wsgi(environ, start_response)

    def _renew(self) -> None:
        with self._building:
            if self._pid != os.getpid():
                # Kept: to let go of it would close what the parent has open.
                self._of_parent = self._wsgi
                self._wsgi, self._pid = self._build(), os.getpid()
