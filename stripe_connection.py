"""Connections that end every send by an instant, whatever the other side does.

A socket's time-out bounds one system call, so an answer that dribbles in byte by byte outlives it,
as do a name server that is silent and a host with many dead addresses. Here every step of a send
(look-up, connect, TLS, each write, each read) is given no more than what is left until its end.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

# family, type, protocol, canonical name, socket address: as getaddrinfo gives them.
Address = tuple[Any, Any, int, str, Any]


class SendInProgress(threading.local):
    """What the connection that this thread uses must know of its send."""

    ends_at: float = math.inf
    # None: not known, as where something else than these connections answers.
    may_have_left: bool | None = None

    def left(self) -> float:
        """Return the seconds until the end. Raises TimeoutError once it has passed."""
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the send took too long")
        return left


# One per thread, because a send never leaves the thread that began it.
current_send = SendInProgress()


class Resolver:
    """getaddrinfo, which knows no time limit, asked in a thread that may be left behind.

    Those who ask for the same host at the same time share one thread and its answer.
    """

    def __init__(self, getaddrinfo: Any = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int], Future[list[Address]]] = {}

    def addresses(self, host: str, port: int, seconds: float) -> list[Address]:
        """Return the host's addresses. Raises TimeoutError, or OSError where it has none."""
        with self._lock:
            answer = self._asked.get((host, port))
            if answer is None:
                answer = self._asked[host, port] = Future()
                threading.Thread(target=self._ask, args=(host, port, answer), daemon=True).start()
        return answer.result(timeout=seconds)

    def _ask(self, host: str, port: int, answer: Future[list[Address]]) -> None:
        try:
            found = self._getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer.set_exception(OSError(str(error)))
        else:
            answer.set_result(found)
        finally:
            with self._lock:
                del self._asked[host, port]


resolver = Resolver()


class _Bounded(HTTPConnection):
    """`timeout` bounds the whole of connecting, and then the whole of an answer."""

    def connect(self) -> None:
        current_send.may_have_left = False
        super().connect()

    def _new_conn(self) -> socket.socket:
        """Return a socket whose time-out leaves the handshake what connecting has left over."""
        assert isinstance(self.timeout, int | float)
        ends_at = time.monotonic() + min(self.timeout, current_send.left())
        try:
            sock = self._first_to_connect(ends_at)
            sock.settimeout(_until(ends_at))
        except TimeoutError as late:
            raise ConnectTimeoutError(self, f"no connection to {self.host} in time") from late
        except OSError as error:
            raise NewConnectionError(self, f"no connection to {self.host}: {error}") from error
        return sock

    def _first_to_connect(self, ends_at: float) -> socket.socket:
        failed: OSError | None = None
        for family, kind, protocol, _, address in self._addresses(ends_at):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(_until(ends_at))
                sock.connect(address)
            except OSError as error:
                sock.close()
                failed = error
            else:
                return sock
        raise failed or OSError("it has no address")

    def _addresses(self, ends_at: float) -> list[Address]:
        try:
            return resolver.addresses(self._dns_host, self.port or 0, _until(ends_at))
        except TimeoutError:
            raise
        except OSError as error:
            raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        current_send.may_have_left = True
        self.sock.settimeout(current_send.left())
        super().send(data)

    def response_class(  # type: ignore[override]
        self, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> http.client.HTTPResponse:
        assert isinstance(self.timeout, int | float)
        ends_at = min(time.monotonic() + self.timeout, current_send.ends_at)
        return http.client.HTTPResponse(_Incoming(sock, ends_at), *args, **kwargs)  # type: ignore[arg-type]


class _BoundedTls(_Bounded, HTTPSConnection):
    """The same over TLS: a handshake, a write and a read each keep the socket's time-out."""


class BoundedPool(HTTPConnectionPool):
    """Connections that keep `current_send`."""

    ConnectionCls = _Bounded


class BoundedTlsPool(HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = _BoundedTls


class _Incoming(io.RawIOBase):
    """What arrives at a socket until an instant, in the guise of the socket."""

    def __init__(self, sock: socket.socket, ends_at: float) -> None:
        self._sock, self._ends_at = sock, ends_at
        self._raw = sock.makefile("rb", buffering=0)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_until(self._ends_at))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _until(instant: float) -> float:
    left = instant - time.monotonic()
    if left <= 0:
        raise TimeoutError("too late")
    return left
