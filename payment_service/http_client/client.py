"""Connections that all threads share.

libcurl looks up names, connects, speaks TLS, HTTP and to proxies. This module decides which
connection carries a call, and when the call ends.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import certifi
import pycurl
from msgspec import Struct

from payment_service import __version__
from payment_service.http_client.connection import Connection, Response, milliseconds
from payment_service.http_client.failures import NeverSent
from payment_service.http_client.mocks import answer_of_mock
from payment_service.schema.secret import Secret

USER_AGENT = f"stripe-back-end-api/{__version__}"

# No proxy reaches what runs on this machine.
_LOOPBACK = "localhost,127.0.0.0/8,::1"


class Network(Struct, frozen=True):
    """The way out of this machine: a proxy for https:// and the certificate authorities.

    `no_proxy`: hosts, domains and networks, separated by commas, or `*`. `ca_bundle`: a PEM file.
    Nothing else counts: neither the environment nor .netrc.
    """

    https_proxy: Secret | None = None
    no_proxy: str = ""
    ca_bundle: str | None = None


class HttpClient:
    """A pool of connections, shared by all threads of a process.

    It opens as many as there are calls, and keeps up to `keep` idle ones. A child process does not
    use its parent's connections.
    """

    def __init__(
        self,
        *,
        connect_seconds: float,
        read_seconds: float,
        keep: int,
        network: Network | None = None,
        options: Mapping[int, Any] | None = None,
    ) -> None:
        """`options`: further options of libcurl for each connection."""
        self._connect_seconds, self._read_seconds = connect_seconds, read_seconds
        self._keep = keep
        network = network or Network()
        self._options = {
            **_options_of(network),
            pycurl.CONNECTTIMEOUT_MS: milliseconds(connect_seconds),
            **(options or {}),
        }
        self._https_proxy = _proxy_of(network)
        self._idle: list[Connection] = []
        weakref.finalize(self, _close_all, self._idle)
        _clients.add(self)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        ends_at: float = math.inf,
    ) -> Response:
        """Send once and return the whole answer, whatever its status; follow no redirect.

        `ends_at` (time.monotonic) is a hard end. Without one a call ends after the time to read,
        or after the time to connect and to read if it opens a connection. Raises HttpFailure;
        NeverSent if no byte of the request left. Raises ValueError for a malformed header.
        """
        left = ends_at - time.monotonic()
        if left <= 0:
            raise NeverSent("deadline", "no time is left")
        mocked = answer_of_mock(method, url, headers, body)
        if mocked is not None:
            return mocked
        connection = self._take()
        longest = self._read_seconds + (0 if connection.is_open else self._connect_seconds)
        try:
            response = connection.exchange(method, url, headers, body, min(left, longest))
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return response

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close_all(self._idle)

    def abandon(self) -> None:
        """Give up the connections of the parent process."""
        while self._idle:
            self._idle.pop().abandon()

    def _take(self) -> Connection:
        """Return the most recently used connection: the others are more likely to be dead."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_fresh():
                return connection
            connection.close()
        return Connection(self._options, self._https_proxy)

    def _give_back(self, connection: Connection) -> None:
        if connection.is_open and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.close()
        # A connection holds a megabyte, with its certificate authorities: give it back after a
        # peak. One for each call, so that no call has much to do.
        with suppress(IndexError):
            if self._idle[0].is_old():
                self._idle.pop(0).close()


_clients: weakref.WeakSet[HttpClient] = weakref.WeakSet()


def _abandon_all() -> None:
    for client in _clients:
        client.abandon()


os.register_at_fork(after_in_child=_abandon_all)


def _close_all(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()


def _options_of(network: Network) -> dict[int, Any]:
    bundle = network.ca_bundle or certifi.where()
    return {
        pycurl.USERAGENT: USER_AGENT,
        pycurl.CAINFO: bundle,
        pycurl.PROXY_CAINFO: bundle,
        pycurl.NOPROXY: f"{_LOOPBACK},{network.no_proxy}".rstrip(","),
    }


def _proxy_of(network: Network) -> str:
    if network.https_proxy is None or network.no_proxy.strip() == "*":
        return ""
    return network.https_proxy.get_secret_value()
