"""A socket server whose response to each request a test sets byte by byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

CERTIFICATE = Path(__file__).parent / "certificates" / "localhost.pem"

Answer = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRequest-Id: req_1\r\n\r\n{}"


def say(data: bytes) -> Answer:
    """Return an answer that sends `data` and keeps the connection."""
    return lambda peer: peer.sendall(data)


class ScriptedServer:
    """A context manager that serves every connection in its own thread.

    It calls `answer` with the connection for each request; `answer` may close it. `ended` is set
    at the end of the test, for answers that wait.
    """

    def __init__(self, answer: Answer | None = None, *, tls: bool = False) -> None:
        self.answer = answer or say(OK)
        self.connections = self.closed = 0
        self.requests: list[bytes] = []
        self.ended = threading.Event()
        self._tls = _context() if tls else None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def dribble(self, data: bytes, after: bytes = b"") -> Answer:
        """Return an answer that sends `after` at once, then `data` byte by byte, and then waits."""

        def answer(peer: socket.socket) -> None:
            peer.sendall(after)
            for byte in data:
                peer.sendall(bytes([byte]))
                self.ended.wait(0.02)
            self.ended.wait()

        return answer

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError), peer:
            if self._tls:
                peer = self._tls.wrap_socket(peer, server_side=True)
            with peer:
                while request := _read_request(peer):
                    self.requests.append(request)
                    self.answer(peer)
        self.closed += 1


def _read_request(peer: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        more = peer.recv(65536)
        if not more:
            return b""
        head += more
    names, _, body = head.partition(b"\r\n\r\n")
    length = next(
        (
            int(line[15:])
            for line in names.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        body += peer.recv(65536)
    return names + b"\r\n\r\n" + body


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context
