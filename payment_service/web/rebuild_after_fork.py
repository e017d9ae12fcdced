"""Rebuilds the service after a fork, for servers that load it before: uWSGI, gunicorn --preload.

A child must not use its parent's connections, locks and threads: two processes that share a
connection read each other's answers, and the threads do not exist in the child.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Wsgi = Callable[[Any, Any], Iterable[bytes]]


class RebuildAfterFork:
    """A WSGI application that rebuilds itself in each forked process."""

    def __init__(self, built: Wsgi, build: Callable[[], Wsgi]) -> None:
        """`built` serves this process; a child calls `build` on its first request."""
        self._wsgi, self._build, self._pid = built, build, os.getpid()
        self._building = threading.Lock()

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._pid != os.getpid():
            self._rebuild()
        return self._wsgi(environ, start_response)

    def _rebuild(self) -> None:
        with self._building:
            if self._pid != os.getpid():
                # Keep a reference: freeing it would close the parent's connections.
                self._parents_wsgi = self._wsgi
                self._wsgi, self._pid = self._build(), os.getpid()
