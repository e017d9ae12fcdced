"""Rate limits per address and per client, with flask_limiter."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, request
from flask_limiter import ApplicationLimit, Limiter
from limits import parse

from payment_service.errors import TooManyRequests
from payment_service.key_store import REDIS_SCHEMES
from payment_service.settings import Settings
from payment_service.web.access_control import current_access

log = logging.getLogger("stripe_back_end_api")

# Called often by our own infrastructure: not limited, except for forged events.
UNLIMITED = frozenset({"healthz", "readyz", "webhook", "paypal_webhook"})

# The webhooks, and the codes of events that their sender may have forged. An event with an unknown
# certificate costs a call to PayPal, and a forger can invent one for each event.
WEBHOOKS = frozenset({"webhook", "paypal_webhook"})
FORGED = frozenset({"invalid_signature", "paypal_unreachable"})


def install(app: Flask, settings: Settings) -> None:
    """Install the limits; their hook runs between authentication and its rejection."""
    limits: list[str | Callable[[], str] | ApplicationLimit] = []
    if settings.address_limit:
        limits.append(
            ApplicationLimit(
                f"{settings.address_limit} per minute",
                key_function=lambda: f"address/{request.remote_addr}",
                exempt_when=lambda: current_access().kind in ("api_key", "operator"),
            )
        )
    limits.append(
        ApplicationLimit(
            lambda: f"{_client_limit(settings)} per minute",
            key_function=_caller,
            exempt_when=lambda: not _client_limit(settings),
        )
    )
    limiter = Limiter(
        lambda: "",
        app=app,
        application_limits=limits,
        strategy="sliding-window-counter",
        **_storage(settings),
        # If Redis is down, each process counts alone: an outage must not block the shop.
        in_memory_fallback_enabled=True,
        key_prefix="rates",
    )
    limiter.request_filter(lambda: request.method == "OPTIONS" or request.endpoint in UNLIMITED)
    app.extensions["rates"] = limiter
    if settings.address_limit:
        _limit_forged_events(app, limiter, settings.address_limit)


def _limit_forged_events(app: Flask, limiter: Limiter, per_minute: int) -> None:
    """Count events with an invalid signature per address; over the limit, stop verifying them."""
    most = parse(f"{per_minute} per minute")

    def event_key() -> str:
        return f"forgeries/{request.endpoint}/{request.remote_addr}"

    @app.before_request
    def stop() -> None:
        if request.endpoint in WEBHOOKS and not _allowed(
            lambda: limiter.limiter.test(most, event_key())
        ):
            reset_at = limiter.limiter.get_window_stats(most, event_key()).reset_time
            raise TooManyRequests(
                _too_many(request.endpoint),
                retry_after_seconds=reset_at - time.time(),
            )

    @app.after_request
    def count(response: Response) -> Response:
        is_signed = g.get("event_is_signed", False)
        if request.endpoint in WEBHOOKS and not is_signed and g.get("error_code") in FORGED:
            _allowed(lambda: limiter.limiter.hit(most, event_key()))
        return response


def _too_many(endpoint: str) -> str:
    signer = "PayPal" if endpoint == "paypal_webhook" else "Stripe"
    return f"Too many events without {signer}'s signature; try again later"


def _allowed(ask: Callable[[], bool]) -> bool:
    """Run `ask`; allow the event if it fails: without Redis, Stripe's events must still pass."""
    try:
        return ask()
    except Exception:
        log.warning("cannot count events with an invalid signature", exc_info=True)
        return True


def _caller() -> str:
    access = current_access()
    return f"operator/{access.operator.id}" if access.operator else f"client/{access.client_id}"


def _client_limit(settings: Settings) -> int:
    access = current_access()
    if access.client is None:
        return settings.rate_limit_per_client if access.operator else 0
    return access.client.requests_per_minute or settings.rate_limit_per_client


def _storage(settings: Settings) -> dict[str, Any]:
    """Return where to count: in the key store, if it is in Redis; else in each process alone."""
    url = settings.key_store_url.get_secret_value()
    if url.partition(":")[0] not in REDIS_SCHEMES:
        return {"storage_uri": "memory://"}
    from payment_service.web.rate_storage import SCHEME

    options = {"url": url, "timeout_seconds": settings.store_timeout_seconds}
    return {"storage_uri": f"{SCHEME}://", "storage_options": options}
