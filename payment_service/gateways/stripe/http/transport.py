"""The SDK's HTTP client: one connection pool for all threads, and a hard deadline for each send.

A prepared request goes straight to a `requests` adapter, so that the `responses` library can fake
Stripe in tests. From there it goes to our own connections, because requests' Session and urllib3
cost five times the CPU. The transport never retries and follows no redirect; gateways.stripe.retry
does the retries. It ignores HTTP proxies in the environment, because only settings/ reads the
environment.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NoReturn
from urllib.parse import urlsplit

import stripe
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import Timeout

from payment_service.gateways.stripe.http.connection import Pool, current_send
from payment_service.gateways.stripe.http.response import Answer

# The connections enforce the time limits.
_NO_TIMEOUT = Timeout()


class NeverSent(stripe.APIConnectionError):
    """No byte of the request left this machine: no connection, no address, or no time left.

    Any other APIConnectionError may have reached Stripe.
    """


class SharedTransport(stripe.HTTPClient):
    """Shared by all threads of a process. Create it after a fork, not before.

    Keeps up to `pool_size` idle connections, and opens more if more threads send at a time.
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
        self._longest = connect_timeout_seconds + read_timeout_seconds
        self._adapter = _Adapter(
            ca_bundle or stripe.ca_bundle_path,
            keep=pool_size,
            connect_seconds=connect_timeout_seconds,
            read_seconds=read_timeout_seconds,
        )
        self._limits = _Limits()

    def limit(self, deadline: float) -> AbstractContextManager[None]:
        """End every send of this thread before `deadline`, an instant of time.monotonic."""
        return _Limited(self._limits, deadline)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send once. Raises stripe.APIConnectionError; NeverSent if certainly no byte left."""
        now = time.monotonic()
        current_send.ends_at = min(self._limits.ends_at, now + self._longest)
        current_send.may_have_left = None if now < current_send.ends_at else False
        try:
            if current_send.may_have_left is False:
                raise TimeoutError("no time is left")  # noqa: TRY301
            prepared = _prepared(method, url, headers or {}, post_data)
            response = self._adapter.send(prepared, timeout=_NO_TIMEOUT)  # type: ignore[arg-type]
            content = response.content
        except Exception as error:  # noqa: BLE001 - as the SDK's own clients do
            _raise_as_the_sdk_does(error)
        return content, response.status_code, response.headers  # type: ignore[return-value]

    def request_stream(self, *_: Any, **__: Any) -> NoReturn:
        """Raise NotImplementedError: a streamed answer would have no deadline."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._adapter.close()


class _Limits(threading.local):
    """The deadline that `limit` set in this thread."""

    ends_at: float = math.inf


class _Limited:
    """Context manager of `limit`. A class, because a generator would take three times as long."""

    def __init__(self, limits: _Limits, deadline: float) -> None:
        self._limits, self._deadline = limits, deadline

    def __enter__(self) -> None:
        self._outer = self._limits.ends_at
        self._limits.ends_at = min(self._outer, self._deadline)

    def __exit__(self, *_: object) -> None:
        self._limits.ends_at = self._outer


class _Adapter(HTTPAdapter):
    """A requests adapter over our connections. `responses` patches `send`: do not override it."""

    def __init__(self, ca_bundle: str, **of_each_pool: Any) -> None:
        super().__init__()
        self._of_each_pool = of_each_pool
        # One context for all connections: loading the bundle takes longer than a handshake.
        self._tls = ssl.create_default_context(cafile=ca_bundle)
        self._tls.set_alpn_protocols(["http/1.1"])
        self._pools: dict[str, Pool] = {}
        self._lock = threading.Lock()

    def get_connection_with_tls_context(  # type: ignore[override]
        self, request: PreparedRequest, *_: Any, **__: Any
    ) -> Pool:
        """Return the connection pool of the request's host."""
        assert request.url
        origin = "/".join(request.url.split("/", 3)[:3])
        pool = self._pools.get(origin)
        if pool is None:
            with self._lock:
                pool = self._pools.setdefault(origin, self._pool(origin))
        return pool

    def request_url(self, request: PreparedRequest, *_: Any) -> str:
        """Return the path and query of the request's URL."""
        assert request.url
        return "/" + request.url.split("/", 3)[3]

    def cert_verify(self, *_: Any) -> None:
        """Do nothing: the TLS context already verifies certificates against the bundle."""

    def build_response(  # type: ignore[override]
        self, req: PreparedRequest, resp: Any
    ) -> Answer | Response:
        """Return our own answers unchanged; convert those of `responses`."""
        return resp if isinstance(resp, Answer) else super().build_response(req, resp)

    def close(self) -> None:
        """Close the connections that are not in use."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, origin: str) -> Pool:
        url = urlsplit(origin)
        assert url.hostname
        tls = self._tls if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        return Pool(url.hostname, port, tls, **self._of_each_pool)


class _Headers(dict[str, str]):
    """Headers that are sent unchanged; look-ups ignore case, for code that inspects a request.

    The class of `requests` does the same, but takes some microseconds for each write and read.
    """

    def __missing__(self, name: str) -> str:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self.get(str(name)) is not None

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return the header, or `default` if it is absent."""
        lowered = name.lower()
        return next((text for each, text in self.items() if each.lower() == lowered), default)


def _prepared(method: str, url: str, headers: Mapping[str, str], post_data: Any) -> PreparedRequest:
    request = PreparedRequest()
    request.method, request.url = method.upper(), url
    request.headers = said = _Headers(headers)  # type: ignore[assignment]
    said["Accept-Encoding"] = "identity"
    if post_data:
        # The form stays text, for code that inspects the request; it is ASCII.
        request.body = post_data
        said["Content-Length"] = str(len(post_data))
    elif request.method != "GET":
        said["Content-Length"] = "0"
    return request


def _raise_as_the_sdk_does(error: Exception) -> NoReturn:
    kind = stripe.APIConnectionError if current_send.may_have_left is not False else NeverSent
    message = f"Unexpected error communicating with Stripe: {type(error).__name__}: {error}"
    raise kind(message, should_retry=True) from error  # type: ignore[no-untyped-call]
