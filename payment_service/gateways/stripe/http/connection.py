"""HTTP over persistent connections, with a hard deadline for every send.

A socket's timeout bounds one system call. An answer that arrives byte by byte outlasts it, and so
do a silent name server and a host with many dead addresses. Here every step of a send (look-up,
connect, TLS, each write, each read) gets only the time left until the deadline of the send.
"""

from __future__ import annotations

import io
import math
import re
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from typing import Any

from payment_service.gateways.stripe.http.resolver import Address, Resolver
from payment_service.gateways.stripe.http.response import Answer, read_answer

# NATs and load balancers silently drop idle connections, some after 60 s.
IDLE_SECONDS = 50.0

# A Stripe answer is a few kilobytes long.
READ_BYTES = 16384

# The characters allowed in a request line and in headers; others could inject a line.
_TARGET = re.compile(r"/[!-~]*")
_HEADERS = re.compile(r"(?:[!-9;-~]+: [ -~\x80-\xff]*\r\n)*")


class SendInProgress(threading.local):
    """The state of this thread's send, shared with its connection."""

    ends_at: float = math.inf
    # None: unknown, for example when something other than these connections answers.
    may_have_left: bool | None = None


# One per thread, because a send stays in the thread that started it.
current_send = SendInProgress()


class Pool:
    """The connections to one host, shared by all threads; opens as many as needed."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        keep: int,
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._keep = keep
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        # One per pool, not a global one: threads that it waits for do not survive a fork.
        self._resolver = Resolver()
        self._idle: list[_Connection] = []
        weakref.finalize(self, _close_all, self._idle)

    def urlopen(
        self, method: str, url: str, body: str | None, headers: Mapping[str, str], **_: Any
    ) -> Answer:
        """Send once and return the whole answer. Replaces urllib3's method of the same name.

        Raises OSError; `current_send` tells whether any byte may have been sent.
        """
        request = self._bytes(method, url, body, headers)
        connection = self._take()
        try:
            answer = connection.exchange(request, self._read_seconds)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle)

    def _bytes(
        self, method: str, target: str, body: str | None, headers: Mapping[str, str]
    ) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if not _TARGET.fullmatch(target) or not _HEADERS.fullmatch(lines):
            raise ValueError("not a request that HTTP can carry")
        host = f"[{self._host}]" if ":" in self._host else self._host
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}:{self._port}\r\n{lines}\r\n"
        return head.encode("latin-1") + (body or "").encode("ascii")

    def _take(self) -> _Connection:
        """Return the most recently used connection: the others are more likely to be dead."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_alive():
                return connection
            connection.close()
        current_send.may_have_left = False
        ends_at = min(current_send.ends_at, time.monotonic() + self._connect_seconds)
        addresses = self._resolver.addresses(self._host, self._port, _until(ends_at))
        sock = _first_to_connect(self._host, addresses, ends_at)
        return _Connection(_secured(sock, self._host, self._tls, ends_at))

    def _give_back(self, connection: _Connection) -> None:
        if connection.reusable and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.close()


class _Connection:
    """One connection; carries one request and its answer at a time.

    The socket is non-blocking. A socket with a timeout would cost two more thread switches for
    each call.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming = _Incoming(sock)
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)
        self._used_at = time.monotonic()
        self.reusable = True

    def is_alive(self) -> bool:
        """Whether the connection can be reused.

        It cannot if there is something to read: either the end of the stream, or bytes that would
        be mistaken for the next answer.
        """
        young = time.monotonic() - self._used_at < IDLE_SECONDS
        return young and not self._incoming.holds_more()

    def exchange(self, request: bytes, read_seconds: float) -> Answer:
        """Write the request and read the answer."""
        current_send.may_have_left = True
        self._write(request)
        self._incoming.ends_at = min(current_send.ends_at, time.monotonic() + read_seconds)
        reader = io.BufferedReader(self._incoming, READ_BYTES)
        answer = read_answer(reader)
        self.reusable = not answer.last and not self._incoming.left_in(reader)
        self._used_at = time.monotonic()
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _write(self, request: bytes) -> None:
        unsent = memoryview(request)
        while unsent:
            try:
                unsent = unsent[self._sock.send(unsent) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._writable.poll(_until(current_send.ends_at) * 1000)


class _Incoming(io.RawIOBase):
    """The bytes that arrive at a socket before `ends_at`."""

    def __init__(self, sock: socket.socket) -> None:
        self.ends_at = math.inf
        self._answered = False
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def is_readable(self, seconds: float) -> bool:
        """Wait for bytes or the end of the stream."""
        return bool(self._readable.poll(seconds * 1000))

    def holds_more(self) -> bool:
        """Whether bytes or the end of the stream are ready to read."""
        # TLS may have buffered bytes that it already read from the socket.
        return bool(self._tls and self._tls.pending()) or self.is_readable(0)

    def left_in(self, reader: io.BufferedReader[_Incoming]) -> bool:
        """Whether a reader of this stream has buffered bytes beyond the answer."""
        self._answered = True
        try:
            # With an empty buffer, peek() would read from the socket; `_answered` prevents it.
            return bool(reader.peek())
        finally:
            self._answered = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._answered:
            return None
        while True:
            left = _until(self.ends_at)
            if not (self._tls and self._tls.pending()) and not self.is_readable(left):
                continue
            try:
                return self._sock.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue

    def close(self) -> None:
        """Do nothing: the connection outlives a discarded reader."""


def _close_all(connections: list[_Connection]) -> None:
    while connections:
        connections.pop().close()


def _secured(
    sock: socket.socket, host: str, tls: ssl.SSLContext | None, ends_at: float
) -> socket.socket:
    if tls is None:
        return sock
    try:
        sock.settimeout(_until(ends_at))
        return tls.wrap_socket(sock, server_hostname=host)
    except BaseException:
        sock.close()
        raise


def _first_to_connect(host: str, addresses: list[Address], ends_at: float) -> socket.socket:
    failed = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_until(ends_at))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    try:
        raise failed
    finally:
        # Its traceback refers to this frame: a cycle that only the garbage collector would free.
        del failed


def _until(instant: float) -> float:
    """Return the seconds until an instant. Raises TimeoutError once it has passed."""
    left = instant - time.monotonic()
    if left <= 0:
        raise TimeoutError("the send took too long")
    return left
