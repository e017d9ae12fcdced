"""HTTP over kept connections, where every send ends by an instant, whatever the other side does.

A socket's time-out bounds one system call, so an answer that dribbles in byte by byte outlives it,
as do a name server that is silent and a host with many dead addresses. Here every step of a send
(look-up, connect, TLS, each write, each read) is given no more than what is left until its end.
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

# What is between us and Stripe forgets a silent connection, some after a minute, without a word.
IDLE_SECONDS = 50.0

# An answer of Stripe's is a few kilobytes.
READ_BYTES = 16384

# What a request line and a header may hold: anything else could begin another line.
_TARGET = re.compile(r"/[!-~]*")
_HEADERS = re.compile(r"(?:[!-9;-~]+: [ -~\x80-\xff]*\r\n)*")


class SendInProgress(threading.local):
    """What the connection that this thread uses must know of its send."""

    ends_at: float = math.inf
    # None: not known, as where something else than these connections answers.
    may_have_left: bool | None = None


# One per thread, because a send never leaves the thread that began it.
current_send = SendInProgress()


class Pool:
    """The connections to one host, shared by all threads; opens as many as are needed."""

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
        # Not one for all pools: a fork leaves behind the threads that it waits for.
        self._resolver = Resolver()
        self._idle: list[_Connection] = []
        weakref.finalize(self, _close_all, self._idle)

    def urlopen(
        self, method: str, url: str, body: str | None, headers: Mapping[str, str], **_: Any
    ) -> Answer:
        """Send once and return the whole answer; named as urllib3's, whose place it takes.

        Raises OSError; `current_send` tells whether anything left.
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
        """Close the connections that are not in use."""
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
        """The connection that was used last, because the others are more likely to be dead."""
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
    """One connection: a request and its answer at a time.

    The socket never blocks in a call of its own: a socket with a time-out does, with two more
    changes of threads for each call.
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
        """Whether it may be used again.

        Nothing may be there to read: it is the end, or would be taken for the next answer.
        """
        young = time.monotonic() - self._used_at < IDLE_SECONDS
        return young and not self._incoming.holds_more()

    def exchange(self, request: bytes, read_seconds: float) -> Answer:
        """Write the request and read its answer."""
        current_send.may_have_left = True
        self._write(request)
        self._incoming.ends_at = min(current_send.ends_at, time.monotonic() + read_seconds)
        reader = io.BufferedReader(self._incoming, READ_BYTES)
        answer = read_answer(reader)
        self.reusable = not answer.last and not self._incoming.left_in(reader)
        self._used_at = time.monotonic()
        return answer

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def _write(self, request: bytes) -> None:
        unsent = memoryview(request)
        while unsent:
            try:
                unsent = unsent[self._sock.send(unsent) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._writable.poll(_until(current_send.ends_at) * 1000)


class _Incoming(io.RawIOBase):
    """What arrives at a socket until `ends_at`."""

    def __init__(self, sock: socket.socket) -> None:
        self.ends_at = math.inf
        self._answered = False
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def is_readable(self, seconds: float) -> bool:
        """Wait for something to read, the end included."""
        return bool(self._readable.poll(seconds * 1000))

    def holds_more(self) -> bool:
        """Whether something is there to read, the end included."""
        # TLS may hold what it has read of the socket already.
        return bool(self._tls and self._tls.pending()) or self.is_readable(0)

    def left_in(self, reader: io.BufferedReader[_Incoming]) -> bool:
        """Whether a reader of this one has read more than was asked of it."""
        self._answered = True
        try:
            # It would read on where it holds nothing.
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
        """Stay open: a reader that is thrown away is not the end of the connection."""


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
        # Its traceback refers to this frame: nothing would free the two but the garbage collector.
        del failed


def _until(instant: float) -> float:
    """Return the seconds until then. Raises TimeoutError once it has passed."""
    left = instant - time.monotonic()
    if left <= 0:
        raise TimeoutError("the send took too long")
    return left
