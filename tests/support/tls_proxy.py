"""TLS in front of servers that speak none, such as the tests' Redis."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from typing import Self

from tests.support.redis_cluster import SLOTS, Node, Sentinel, until
from tests.support.scripted_server import CERTIFICATE

# The certificate names localhost only, and a cluster names its nodes by their addresses.
TRUSTED = f"ssl_ca_certs={CERTIFICATE}&ssl_check_hostname=false"


class TlsProxy:
    """A context manager: listens with TLS, and passes what it receives to a port in the clear.

    `served` counts the connections that spoke TLS.
    """

    def __init__(self, target: int = 0) -> None:
        self.target, self.served = target, 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

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

    def _serve(self, raw: socket.socket) -> None:
        with suppress(OSError), self._context.wrap_socket(raw, server_side=True) as peer:
            self.served += 1
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                threading.Thread(target=_copy, args=(server, peer), daemon=True).start()
                _copy(peer, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


class TlsCluster:
    """Two masters, each behind a proxy whose port it announces to clients."""

    def __init__(self) -> None:
        self.proxies = [TlsProxy(), TlsProxy()]
        self.nodes = [Node("--cluster-announce-port", str(each.port)) for each in self.proxies]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            for proxy, node in zip(self.proxies, self.nodes, strict=True):
                undo.enter_context(proxy)
                proxy.target = undo.enter_context(node).port
            first, second = self.nodes
            first.ask("CLUSTER ADDSLOTS", *range(SLOTS // 2))
            second.ask("CLUSTER ADDSLOTS", *range(SLOTS // 2, SLOTS))
            second.ask("CLUSTER SET-CONFIG-EPOCH", 2)
            second.ask("CLUSTER MEET", "127.0.0.1", first.port)
            until(lambda: all(node.is_up() for node in self.nodes))
            self._stack = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self) -> str:
        return f"rediss+cluster://127.0.0.1:{self.proxies[0].port}?{TRUSTED}"


class TlsSentinel(Sentinel):
    """A Sentinel behind a proxy; it names the proxy of its master, which it cannot reach itself."""

    # It would count the master as failed because it does not speak TLS with it.
    down_after_ms = 3_600_000

    def __init__(self) -> None:
        super().__init__()
        self.proxies = [TlsProxy(), TlsProxy()]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            master = undo.enter_context(self.servers[0])
            of_master, of_sentinel = map(undo.enter_context, self.proxies)
            of_master.target, of_sentinel.target = master.port, self._watcher.port
            self._watcher.configure(self.service, of_master.port, self.down_after_ms)
            undo.enter_context(self._watcher)
            self._stack = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.servers[1].__exit__()

    def url(self) -> str:
        return f"rediss+sentinel://127.0.0.1:{self.proxies[1].port}/{self.service}?{TRUSTED}"
