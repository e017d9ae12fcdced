"""Who is let in, how often, and from which pages: hooks around every route.

Beside stripe_back_end_api, which is about answers. What takes long to import (Flask's extensions,
cryptography) is imported where the settings ask for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Flask, current_app, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from payment_service.access.admission import EVERYBODY, Access, admitted
from payment_service.errors import TooManyRequests, Unauthorized
from payment_service.settings import Settings

if TYPE_CHECKING:
    from payment_service.access.clients import Clients

# What anybody may ask; a webhook proves itself by its signature. A route that is not named here
# needs a token or a key.
PUBLIC = frozenset({"config", "demo", "healthz", "readyz", "webhook", "openapi", "documentation"})

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
    if clients is None and not settings.address_limit:
        app.before_request(_let_everybody_in)
        return
    # In this order: what fails to prove itself is counted by its address before it is sent away.
    app.before_request(lambda: _recognise(clients, clock))
    from payment_service.web.rate_limits import limit

    limit(app, settings)
    app.before_request(_admit)


def access() -> Access:
    """Return what the caller of this request may ask for."""
    found: Access = g.access
    return found


def too_many_requests() -> TooManyRequests:
    """Return the answer to a request that a limit stopped, with the time until it lets one in."""
    stopped = current_app.extensions["rates"].current_limit
    seconds = stopped.reset_at - time.time() if stopped else None
    return TooManyRequests(
        "Too many requests in a minute; wait a little", retry_after_seconds=seconds
    )


def _let_everybody_in() -> None:
    g.access = EVERYBODY


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
        from flask_cors import CORS

        CORS(
            app,
            origins=origins,
            methods=["GET", "POST"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=ANSWER_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )
