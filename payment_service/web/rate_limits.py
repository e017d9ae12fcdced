"""How often an address and a client may ask: flask_limiter, where the settings set a limit."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from flask import Flask, Response, g, request
from flask_limiter import ApplicationLimit, Limiter
from limits import parse

from payment_service.errors import TooManyRequests
from payment_service.settings import Settings
from payment_service.web.access_control import access

log = logging.getLogger("stripe_back_end_api")

# Asked by machines of our own, often: never limited but for forged events.
UNLIMITED = frozenset({"healthz", "readyz", "webhook"})


def limit(app: Flask, settings: Settings) -> None:
    """Count the requests, and stop those that are too many; hung between _recognise and _admit."""
    limits: list[str | Callable[[], str] | ApplicationLimit] = []
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
    if settings.address_limit:
        _limit_forgeries(app, limiter, settings.address_limit)


def _limit_forgeries(app: Flask, limiter: Limiter, per_minute: int) -> None:
    """Count the events that nobody of ours signed, by their address, and then verify no more."""
    most = parse(f"{per_minute} per minute")

    def counted() -> str:
        return f"forgeries/{request.remote_addr}"

    @app.before_request
    def stop() -> None:
        if request.endpoint == "webhook" and not _holds(
            lambda: limiter.limiter.test(most, counted())
        ):
            reset_at = limiter.limiter.get_window_stats(most, counted()).reset_time
            raise TooManyRequests(
                "Too many events that Stripe did not sign; wait a little",
                retry_after_seconds=reset_at - time.time(),
            )

    @app.after_request
    def count(response: Response) -> Response:
        if request.endpoint == "webhook" and g.get("error_code") == "invalid_signature":
            _holds(lambda: limiter.limiter.hit(most, counted()))
        return response


def _holds(ask: Callable[[], bool]) -> bool:
    """A Redis that is down must not close the shop to Stripe's events."""
    try:
        return ask()
    except Exception:
        log.warning("unsigned events are not counted", exc_info=True)
        return True


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
