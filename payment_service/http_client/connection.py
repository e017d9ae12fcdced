"""One libcurl handle with at most one connection, for one call at a time."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pycurl
from msgspec import Struct

from payment_service.http_client.failures import HttpFailure, failure_of

# NATs and load balancers silently drop idle connections, some after 60 s.
IDLE_SECONDS = 50.0

# A page of 100 PaymentIntents has less than 4 MB, even with 50 long metadata values in each.
MOST_BODY_BYTES = 16 * 1024 * 1024

# RFC 9110: 408 ends a connection, and 421 asks for another one.
_LAST_STATUSES = (408, 421)

# An option that pycurl does not name.
_QUICK_EXIT = 322

_GO_ON: int = pycurl.PREREQFUNC_OK
_ABORT: int = pycurl.PREREQFUNC_ABORT

# Linux's struct tcp_info up to its 8 bytes tcpi_bytes_received.
_TCP_INFO_BYTES = 136

_OPTIONS: dict[int, Any] = {
    # Signals would interrupt other threads.
    pycurl.NOSIGNAL: 1,
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.FOLLOWLOCATION: 0,
    pycurl.NETRC: pycurl.NETRC_IGNORED,
    # Without a text, libcurl reads variables of the environment.
    pycurl.PROXY: "",
    pycurl.PATH_AS_IS: 1,
    pycurl.MAXFILESIZE: MOST_BODY_BYTES,
    pycurl.MAXCONNECTS: 1,
    # Closing a handle does not wait for a name server that is silent.
    _QUICK_EXIT: 1,
}


class Response(Struct, frozen=True):
    """A whole answer. `headers` has lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """A handle that is kept for its connection. Only one thread may use it at a time."""

    def __init__(self, options: Mapping[int, Any], https_proxy: str = "") -> None:
        self._curl, self._https_proxy = pycurl.Curl(), https_proxy
        self._transfer = _Transfer()
        self._socket: socket.socket | None = None
        self._readable = select.poll()
        self._used_at = 0.0
        self._received = 0
        for name, value in {**_OPTIONS, **options}.items():
            self._curl.setopt(name, value)
        self._curl.setopt(pycurl.PREREQFUNCTION, self._transfer.may_begin)
        self._curl.setopt(pycurl.HEADERFUNCTION, self._transfer.lines.append)
        self._curl.setopt(pycurl.WRITEFUNCTION, self._transfer.chunks.append)

    @property
    def is_open(self) -> bool:
        """Whether the connection was left open after the last answer."""
        return self._socket is not None

    def is_fresh(self) -> bool:
        """Whether the open connection can carry another request.

        It cannot if there is something to read: either the end of the stream, or bytes that would
        be mistaken for the next answer. libcurl looks only if its last look was a second ago.
        """
        return self._socket is not None and not self.is_old() and not self._is_readable()

    def is_old(self) -> bool:
        """Whether the connection has been idle for so long that it may be dead."""
        return time.monotonic() - self._used_at > IDLE_SECONDS

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
    ) -> Response:
        """Send once and return the answer. Raises HttpFailure; ValueError for a malformed header.

        After an exception the connection must be closed.
        """
        self._prepare(method, url, headers, body)
        self._curl.setopt(pycurl.TIMEOUT_MS, milliseconds(seconds))
        try:
            self._curl.perform()
        except pycurl.error as error:
            code, text = error.args
            raise failure_of(self._curl, code, text, self._transfer.sends) from None
        response = self._transfer.response(self._curl.getinfo(pycurl.RESPONSE_CODE))
        self._keep(response)
        return response

    def close(self) -> None:
        """Close the connection."""
        self._release()
        self._curl.close()

    def abandon(self) -> None:
        """Give up a connection that belongs to the parent of this process.

        libcurl must never free this handle: it would send a TLS message that ends the parent's
        connection, and join threads that did not survive the fork. So it keeps one reference for
        ever. The number of its socket gets another meaning, so that the parent can close it.
        """
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._curl))
        if self._socket is not None:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, self._socket.fileno())
            os.close(nothing)
        self._release()

    def _prepare(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        lines = [f"{name}: {value}" for name, value in headers.items()]
        text = "".join(lines)
        if not (text.isascii() and text.isprintable()):
            # A line break would begin another header.
            raise ValueError("a header that HTTP cannot carry")
        self._transfer.begin()
        self._curl.setopt(pycurl.URL, url)
        if self._https_proxy:
            proxy = self._https_proxy if url.startswith("https://") else ""
            self._curl.setopt(pycurl.PROXY, proxy)
        if method == "POST":
            self._curl.setopt(pycurl.POSTFIELDS, body or b"")
        else:
            self._curl.setopt(pycurl.HTTPGET, 1)
            assert method == "GET", "libcurl needs to know other methods"
        # `Expect:` switches off the wait for a 100 before a long body.
        self._curl.setopt(pycurl.HTTPHEADER, [*lines, "Expect:"])

    def _keep(self, response: Response) -> None:
        """Note whether the connection is open and in step. Raises HttpFailure if it is not."""
        before = self._received
        if self._curl.getinfo(pycurl.NUM_CONNECTS):
            self._release()
            before = 0
        descriptor = self._curl.getinfo(pycurl.ACTIVESOCKET)
        if descriptor < 0 or response.status in _LAST_STATUSES or _is_ambiguous(response.headers):
            self._release()
            return
        if self._socket is None:
            self._socket = socket.socket(fileno=descriptor)
            self._readable.register(self._socket, select.POLLIN)
        self._used_at, self._received = time.monotonic(), _received(self._socket)
        length = self._curl.getinfo(pycurl.HEADER_SIZE) + len(response.body)
        # TLS reads ahead, so bytes that came with the last answer may look like this one. Then the
        # true answer either has not arrived yet, or waits in the socket.
        if before and (self._received - before < length or self._has_data()):
            raise HttpFailure("read", "the server answered before it had the request")

    def _is_readable(self) -> bool:
        return bool(self._readable.poll(0))

    def _has_data(self) -> bool:
        """Whether bytes have arrived that nothing has read; not the end of the stream."""
        if self._socket is None or not self._is_readable():
            return False
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def _release(self) -> None:
        """Forget the socket, which libcurl closes."""
        if self._socket is not None:
            self._readable.unregister(self._socket)
            self._socket.detach()
            self._socket = None


class _Transfer:
    """The callbacks of one handle. It does not refer to the handle, which would be a cycle."""

    def __init__(self) -> None:
        self.sends = 0
        self.lines: list[bytes] = []
        self.chunks: list[bytes] = []

    def begin(self) -> None:
        """Forget the last call."""
        self.sends = 0
        self.lines.clear()
        self.chunks.clear()

    def may_begin(self, *_: object) -> int:
        """Count the sends; libcurl calls this on a complete connection, before the request.

        libcurl sends again if a kept connection ends without an answer. The retry loop could not
        count that send, so it is refused.
        """
        self.sends += 1
        return _GO_ON if self.sends == 1 else _ABORT

    def response(self, status: int) -> Response:
        """Return the answer that arrived. Raises HttpFailure if its length is ambiguous."""
        headers = _final_headers(self.lines)
        lengths = {each.strip() for each in headers.get("content-length", "").split(",")}
        if len(lengths) > 1:
            raise HttpFailure("read", "an answer with several lengths")
        return Response(status, headers, b"".join(self.chunks))


def _final_headers(lines: list[bytes]) -> dict[str, str]:
    """Return the headers of the last answer, without those of interim answers and trailers."""
    found: dict[str, str] = {}
    ended = False
    for line in lines:
        if line.startswith(b"HTTP/"):
            found, ended = {}, False
        elif not line.strip():
            ended = True
        elif not ended:
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.lower(), value.strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _is_ambiguous(headers: Mapping[str, str]) -> bool:
    """Whether an answer has two ends (RFC 9112, 6.3): the other side may see another one."""
    return "transfer-encoding" in headers and "content-length" in headers


def _received(sock: socket.socket) -> int:
    """Return how many bytes have arrived at a socket; 0 where the system does not count them."""
    if sys.platform != "linux":
        return 0
    with suppress(OSError):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        return int.from_bytes(info[-8:], sys.byteorder)
    return 0


def milliseconds(seconds: float) -> int:
    """Return at least 1: for libcurl 0 is no limit."""
    return max(1, int(seconds * 1000))
