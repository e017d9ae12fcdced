"""The SDK's HTTP client: one pool of connections for all threads, and a hard end for each send.

A prepared request goes straight to a `requests` adapter, which costs a third of what a Session
does and still lets the `responses` library answer in Stripe's stead. Nothing is sent twice here
and no redirect is followed: sending again is stripe_retry's. HTTP proxies of the environment are
not used, because only settings.py reads the environment.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import stripe
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.exceptions import SSLError
from requests.structures import CaseInsensitiveDict

from stripe_connection import BoundedPool, BoundedTlsPool, current_send


class NeverSent(stripe.APIConnectionError):
    """No byte of the request left this machine: no connection, no address, or no time left.

    Any other APIConnectionError may have reached Stripe.
    """


class SharedTransport(stripe.HTTPClient):
    """Shared by all threads of a process; to be made after a fork, not before.

    Up to `pool_size` connections are kept; more are opened where more threads send at a time.
    """

    name = "requests"

    def __init__(
        self,
        *,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        pool_size: int,
        ca_bundle: str | None = None,
    ) -> None:
        super().__init__()
        self._connect_seconds = connect_timeout_seconds
        self._read_seconds = read_timeout_seconds
        self._adapter = _Adapter(pool_size, ca_bundle or stripe.ca_bundle_path)
        self._limits = _Limits()

    @contextmanager
    def limit(self, deadline: float) -> Iterator[None]:
        """End every send of this thread before `deadline`, an instant of time.monotonic."""
        outer = self._limits.ends_at
        self._limits.ends_at = min(outer, deadline)
        try:
            yield
        finally:
            self._limits.ends_at = outer

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send once. Raises stripe.APIConnectionError: NeverSent where that is certain."""
        current_send.ends_at, current_send.may_have_left = self._limit(), None
        try:
            response = self._adapter.send(
                _prepared(method, url, headers or {}, post_data), timeout=self._timeout()
            )
            content = response.content
        except Exception as error:  # noqa: BLE001 - as the SDK's own clients do
            _raise_as_the_sdk_does(error)
        return content, response.status_code, response.headers  # type: ignore[return-value]

    def request_stream(self, *_: Any, **__: Any) -> NoReturn:
        """Raise NotImplementedError: an answer that is read later has no end here."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._adapter.close()

    def _limit(self) -> float:
        longest = time.monotonic() + self._connect_seconds + self._read_seconds
        return min(longest, self._limits.ends_at)

    def _timeout(self) -> tuple[float, float]:
        try:
            left = current_send.left()
        except TimeoutError:
            current_send.may_have_left = False
            raise
        return min(self._connect_seconds, left), min(self._read_seconds, left)


class _Limits(threading.local):
    """What `limit` set in this thread."""

    ends_at: float = math.inf


class _Adapter(HTTPAdapter):
    """Never overrides `send`: that is where `responses` steps in."""

    def __init__(self, pool_size: int, ca_bundle: str) -> None:
        # One context for all connections: reading the bundle takes longer than a handshake.
        self._tls = ssl.create_default_context(cafile=ca_bundle)
        super().__init__(pool_connections=4, pool_maxsize=pool_size, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": BoundedPool, "https": BoundedTlsPool}

    def cert_verify(self, *_: Any) -> None:
        """Do nothing: the context demands a certificate that the bundle vouches for."""


def _prepared(method: str, url: str, headers: Mapping[str, str], post_data: Any) -> PreparedRequest:
    request = PreparedRequest()
    request.method, request.url = method.upper(), url
    request.headers = CaseInsensitiveDict(headers)
    if post_data:
        # The SDK encodes a form in ASCII; it stays text, which is what tests with mocks look into.
        request.body = post_data
        request.headers["Content-Length"] = str(len(request.body or b""))
    elif request.method != "GET":
        request.headers["Content-Length"] = "0"
    return request


def _raise_as_the_sdk_does(error: Exception) -> NoReturn:
    kind = stripe.APIConnectionError if current_send.may_have_left is not False else NeverSent
    if isinstance(error, SSLError):
        message = "Could not verify Stripe's SSL certificate."
    else:
        message = "Unexpected error communicating with Stripe."
    detail = f"(Network error: {type(error).__name__}: {error})"
    raise kind(  # type: ignore[no-untyped-call]
        f"{message}\n\n{detail}", should_retry=not isinstance(error, SSLError)
    ) from error
