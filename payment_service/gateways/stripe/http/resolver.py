"""DNS look-up with a timeout, which getaddrinfo lacks."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from typing import Any

# family, type, protocol, canonical name, socket address: as getaddrinfo returns them.
Address = tuple[Any, Any, int, str, Any]


class Resolver:
    """Runs getaddrinfo in a thread that a caller can abandon.

    Concurrent callers for the same host share one thread and its answer.
    """

    def __init__(self, getaddrinfo: Any = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int], Future[list[Address]]] = {}

    def addresses(self, host: str, port: int, seconds: float) -> list[Address]:
        """Return the host's addresses. Raises TimeoutError, or OSError where it has none."""
        with self._lock:
            answer = self._asked.get((host, port)) or self._begin(host, port)
        return answer.result(timeout=seconds)

    def _begin(self, host: str, port: int) -> Future[list[Address]]:
        """Start the look-up thread. Raises OSError if it cannot start; no caller then waits."""
        answer: Future[list[Address]] = Future()
        try:
            threading.Thread(target=self._ask, args=(host, port, answer), daemon=True).start()
        except RuntimeError as full:
            raise OSError(f"{host}: {full}") from full
        self._asked[host, port] = answer
        return answer

    def _ask(self, host: str, port: int, answer: Future[list[Address]]) -> None:
        try:
            found = self._getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer.set_exception(OSError(f"{host}: {error}"))
        else:
            answer.set_result(found)
        finally:
            with self._lock:
                del self._asked[host, port]
