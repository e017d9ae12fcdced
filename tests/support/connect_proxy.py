"""An HTTP proxy on loopback that opens tunnels, with Basic authentication if it has a user."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from contextlib import suppress
from typing import Self
from urllib.parse import quote

DENIED = b'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'


class ConnectProxy:
    """A context manager; `tunnels` lists the targets of the tunnels that it opened."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self.tunnels: list[str] = []
        self._proof = b64encode(f"{user}:{password}".encode()) if user else b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        login = f"{quote(user)}:{quote(password)}@" if user else ""
        self.url = f"http://{login}127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError), peer:
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096)
            method, target, _ = head.split(b" ", 2)
            if method != b"CONNECT" or self._proof not in head:
                peer.sendall(DENIED)
                return
            self.tunnels.append(target.decode())
            host, _, port = target.decode().rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                peer.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                threading.Thread(target=_copy, args=(server, peer), daemon=True).start()
                _copy(peer, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
