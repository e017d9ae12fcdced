"""Access control: authentication, rate limits and CORS, as Flask hooks around every route.

Modules that are slow to import (Flask's extensions, cryptography) are imported only if the settings
need them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Flask, current_app, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from payment_service.access.admission import (
    OPEN_ACCESS,
    Access,
    authenticate,
    authenticate_operator,
)
from payment_service.errors import Forbidden, TooManyRequests, Unauthorized
from payment_service.settings import Settings
from payment_service.telemetry import request_log

if TYPE_CHECKING:
    from payment_service.access.clients import Clients
    from payment_service.access.operators import Operator

# Endpoints that need no token or API key; a webhook is authenticated by its signature. All other
# routes need one.
PUBLIC = frozenset(
    {
        *("config", "demo", "healthz", "readyz", "openapi", "documentation", "operator_page"),
        *("webhook", "paypal_webhook"),
    }
)

# Endpoints whose names begin so need an operator's key, and accept no other.
OPERATOR = "operator_"

# CORS is for the routes of the shops: no page of another origin may read an operator's.
CORS_PATHS = r"/(?!operator(/|$)).*"

# How long a browser may cache a CORS preflight response.
PREFLIGHT_SECONDS = 600

# A page of a listed origin may send every header. Tracing, monitoring and HTTP libraries add their
# own (traceparent, baggage, sentry-trace, Idempotency-Key, …), and a browser that must not send one
# of them drops the whole request. Other headers give a page no power: browsers send us no
# credentials of their own, because there are no cookies, and the one header that proves a caller's
# identity was always allowed. A header's name is a token (RFC 9110, 5.6.2).
REQUEST_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
RESPONSE_HEADERS = ["Idempotent-Replayed", "Retry-After", "X-Request-ID"]


def install(
    app: Flask,
    settings: Settings,
    clients: Clients | None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Install the hooks. `clock` returns Unix seconds and is compared with the tokens' times."""
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0, x_host=0
        )
    _allow_origins(app, settings, clients)
    if clients is None and not settings.address_limit:
        app.before_request(_grant_open_access)
        return
    # Order matters: unauthenticated requests count against the address limit before rejection.
    app.before_request(lambda: _authenticate(clients, clock))
    from payment_service.web import rate_limits

    rate_limits.install(app, settings)
    app.before_request(_reject_unauthenticated)


def current_access() -> Access:
    """Return the access of the current request's caller."""
    found: Access = g.access
    return found


def current_operator() -> Operator:
    """Return the operator who sent the current request. Raises Forbidden for any other caller."""
    operator = current_access().operator
    if operator is None:
        raise Forbidden("This is for operators")
    return operator


def too_many_requests() -> TooManyRequests:
    """Return the error for a request over a rate limit, with the time until the limit resets."""
    stopped = current_app.extensions["rates"].current_limit
    seconds = stopped.reset_at - time.time() if stopped else None
    return TooManyRequests(
        "Too many requests in a minute; try again later", retry_after_seconds=seconds
    )


def _grant_open_access() -> None:
    g.access = OPEN_ACCESS


def _authenticate(clients: Clients | None, clock: Callable[[], float]) -> None:
    g.access, g.refusal = OPEN_ACCESS, None
    if request.method == "OPTIONS" or request.endpoint is None or request.endpoint in PUBLIC:
        return
    header = request.headers.get("Authorization")
    try:
        if request.endpoint.startswith(OPERATOR):
            g.access = authenticate_operator(header, clients)
            request_log.add_fields(operator=current_operator().id)
        else:
            g.access = authenticate(header, clients, clock())
    except Unauthorized as refusal:
        g.refusal = refusal


def _reject_unauthenticated() -> None:
    refusal: Unauthorized | None = g.refusal
    if refusal is not None:
        raise refusal


def _allow_origins(app: Flask, settings: Settings, clients: Clients | None) -> None:
    origins = [*settings.listed_origins, *(clients.origins if clients else [])]
    # The server needs them for its own responses to requests that it cannot parse.
    app.cors_origins = frozenset(origins)  # type: ignore[attr-defined]
    if origins:
        from flask_cors import CORS

        CORS(
            app,
            resources=CORS_PATHS,
            origins=origins,
            methods=["GET", "POST"],
            allow_headers=[REQUEST_HEADER],
            expose_headers=RESPONSE_HEADERS,
            max_age=PREFLIGHT_SECONDS,
        )
