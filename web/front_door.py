"""Who is let in, how often, and from which pages: hooks around every route.

Beside stripe_back_end_api, which is about answers. Together they are all that imports Flask; the
extensions are imported here only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from flask import Flask, current_app, g, request
from flask_cors import CORS
from flask_limiter import ApplicationLimit, Limiter
from werkzeug.middleware.proxy_fix import ProxyFix

from access.admission import EVERYBODY, Access, admitted
from access.clients import Clients
from access.errors import TooManyRequests, Unauthorized
from settings import Settings

# What anybody may ask; a webhook proves itself by its signature. A route that is not named here
# needs a token or a key.
PUBLIC = frozenset({"config", "demo", "healthz", "readyz", "webhook", "openapi", "documentation"})

# Asked by machines of our own, often: never limited.
UNLIMITED = frozenset({"healthz", "readyz", "webhook"})

# How long a browser may remember that a page may call.
PREFLIGHT_SECONDS = 600

REQUEST_HEADERS = ["Authorization", "Content-Type", "X-Request-ID"]
ANSWER_HEADERS = ["Idempotent-Replayed", "Retry-After", "X-Request-ID"]


def hang(
    app: Flask,
    settings: Settings,
    clients: Clients | None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Put the door in front of the routes. `clock` in Unix seconds, for tokens."""
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0, x_host=0
        )
    _list_origins(app, settings, clients)
    # In this order: what fails to prove itself is counted by its address before it is sent away.
    app.before_request(lambda: _recognise(clients, clock))
    _limit(app, settings)
    app.before_request(_admit)


def access() -> Access:
    """Return what the caller of this request may ask for."""
    found: Access = g.access
    return found


def too_many_requests() -> TooManyRequests:
    """Return the answer to a request that a limit stopped, with the time until it lets one in."""
    limiter: Limiter = current_app.extensions["rates"]
    stopped = limiter.current_limit
    seconds = stopped.reset_at - time.time() if stopped else None
    return TooManyRequests(
        "Too many requests in a minute; wait a little", retry_after_seconds=seconds
    )


def _recognise(clients: Clients | None, clock: Callable[[], float]) -> None:
    g.access, g.refusal = EVERYBODY, None
    if request.method == "OPTIONS" or request.endpoint is None or request.endpoint in PUBLIC:
        return
    try:
        g.access = admitted(request.headers.get("Authorization"), clients, clock())
    except Unauthorized as refusal:
        g.refusal = refusal


def _admit() -> None:
    refusal: Unauthorized | None = g.refusal
    if refusal is not None:
        raise refusal


def _list_origins(app: Flask, settings: Settings, clients: Clients | None) -> None:
    origins = [*settings.listed_origins, *(clients.origins if clients else [])]
    if origins:
        CORS(
            app,
            origins=origins,
            methods=["GET", "POST"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )


def _limit(app: Flask, settings: Settings) -> None:
    limits: list[str | Callable[[], str] | ApplicationLimit] = []
    if settings.clients_file is None and not settings.address_limit:
        return
    if settings.address_limit:
        limits.append(
            ApplicationLimit(
                f"{settings.address_limit} per minute",
                key_function=lambda: f"address/{request.remote_addr}",
                exempt_when=lambda: access().kind == "api_key",
            )
        )
    limits.append(
        ApplicationLimit(
            lambda: f"{_client_limit(settings)} per minute",
            key_function=lambda: f"client/{access().client_id}",
            exempt_when=lambda: not _client_limit(settings),
        )
    )
    limiter = Limiter(
        lambda: "",
        app=app,
        application_limits=limits,
        strategy="sliding-window-counter",
        storage_uri=_counts_at(settings),
        storage_options=_timeouts(settings),
        # A Redis that is down must not close the shop: each process counts for itself then.
        in_memory_fallback_enabled=True,
        key_prefix="rates",
    )
    limiter.request_filter(lambda: request.method == "OPTIONS" or request.endpoint in UNLIMITED)
    app.extensions["rates"] = limiter


def _client_limit(settings: Settings) -> int:
    client = access().client
    if client is None:
        return 0
    return client.requests_per_minute or settings.rate_limit_per_client


def _counts_at(settings: Settings) -> str:
    """On the Redis that the records are on, if they are on one; else each process by itself."""
    url = settings.key_store_url.get_secret_value()
    return url if url.startswith(("redis://", "rediss://")) else "memory://"


def _timeouts(settings: Settings) -> dict[str, str | int]:
    if _counts_at(settings) == "memory://":
        return {}
    seconds = max(1, math.ceil(settings.store_timeout_seconds / 2))
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}
