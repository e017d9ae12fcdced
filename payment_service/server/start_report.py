"""The log lines of a start: what runs, misspelt settings, and whether the keys are accepted.

The master logs once for all workers, and again after `kill -HUP`. The key is checked by one worker,
because the master must not have threads when it forks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from payment_service.access.paypal_events import PayPalEvents
from payment_service.access.webhook_secrets import WebhookSecrets
from payment_service.background.receivers import receivers_of
from payment_service.gateways.key_check import KeyCheck
from payment_service.gateways.stripe.key_check import check_key
from payment_service.gateways.stripe.opening import Account, open_gateway, open_transport
from payment_service.settings import Settings, SettingsError, environment, unknown_settings
from payment_service.telemetry.tracing import opening as tracing
from payment_service.wiring import Configuration, accounts_of, paypal_apps

if TYPE_CHECKING:
    from payment_service.access.clients import Clients
    from payment_service.gateways.paypal.opening import PayPalApp

log = logging.getLogger(__name__)


def log_start(configuration: Configuration, bind: Sequence[str]) -> None:
    """Log one line that says what runs, and a warning for each unknown setting.

    `bind` are gunicorn's addresses.
    """
    started = facts(configuration)
    log.info("the service starts", extra={**started, "listens_on": ", ".join(bind)})
    tracing.log_problem(started["traces"])
    # After a `kill -HUP` with an unreadable .env, the previous configuration stays.
    with suppress(SettingsError):
        for warning in unknown_settings(environment()):
            log.warning(warning)


def facts(configuration: Configuration) -> dict[str, str]:
    """Return the fields of the line that the configuration determines, without any secret."""
    settings, clients = configuration.settings, configuration.clients
    webhooks = WebhookSecrets(settings.stripe_webhook_secret, clients)
    has_receivers = bool(receivers_of(settings, clients))
    return {
        "mode": _mode(settings),
        "account_access": "open" if clients is None else f"{len(list(clients))} clients",
        "key_store": settings.key_store_url.get_secret_value().partition(":")[0],
        "webhooks": "on" if webhooks else "off: STRIPE_WEBHOOK_SECRET is not set",
        **_paypal_webhooks(settings, clients),
        "order_events": settings.order_events_delivery if has_receivers else "off",
        "gateways": _gateways(settings),
        "traces": tracing.state(),
        "pages": "on" if settings.checkout_demo or settings.sandbox_url else "off",
    }


def _paypal_webhooks(settings: Settings, clients: Clients | None) -> dict[str, str]:
    if not settings.several_gateways:
        return {}
    is_on = bool(PayPalEvents(settings, clients, None))
    return {"paypal_webhooks": "on" if is_on else "off: PAYPAL_WEBHOOK_ID is not set"}


def _gateways(settings: Settings) -> str:
    listed = ", ".join(settings.listed_gateways)
    if not settings.several_gateways:
        return listed
    return f"{listed} (failover {'on' if settings.failover else 'off: FAILOVER=0'})"


def _mode(settings: Settings) -> str:
    if settings.sandbox_url:
        return "sandbox"
    return "live" if settings.livemode else "test"


def start_key_check(configuration: Configuration) -> None:
    """Check every key in a daemon thread, and log what its provider says. Raises nothing.

    The sandbox accepts every key, so it is not asked.
    """
    if not configuration.settings.sandbox_url:
        threading.Thread(
            target=_check_keys, args=(configuration,), name="key-check", daemon=True
        ).start()


def _check_keys(configuration: Configuration) -> None:
    from payment_service.gateways.paypal.app_check import check_app
    from payment_service.gateways.paypal.opening import open_api

    settings = configuration.settings
    transport = open_transport(settings)
    try:
        for name, account in _accounts(configuration.clients):
            _log_check("Stripe", name, check_key(open_gateway(settings, transport, account).api))
        for name, app in _apps(configuration):
            _log_check("PayPal", name, check_app(open_api(settings, transport, app)))
    except Exception:
        # The check is a service to the operator. It must never be the reason of a failure.
        log.exception("the keys could not be checked")
    finally:
        transport.close()


def _accounts(clients: Clients | None) -> Iterator[tuple[str, Account | None]]:
    """Yield each account once, with the name of its setting."""
    yield "STRIPE_SECRET_KEY", None
    of_clients = accounts_of(clients)
    named = {account: f"CLIENTS_FILE: {client_id}" for client_id, account in of_clients.items()}
    yield from ((name, account) for account, name in named.items())


def _apps(configuration: Configuration) -> Iterator[tuple[str, PayPalApp]]:
    """Yield each app once, with the name of its setting."""
    apps = paypal_apps(configuration.settings, configuration.clients)
    named = {
        app.client_id: ("PAYPAL_CLIENT_ID" if name is None else f"CLIENTS_FILE: {name}", app)
        for name, app in reversed(apps.items())
        if app is not None
    }
    yield from named.values()


def _log_check(provider: str, name: str, check: KeyCheck) -> None:
    extra = {"setting": name, provider.lower(): check.sentence}
    match check.result:
        case "accepted":
            log.info("%s accepts the key", provider, extra={"setting": name})
        case "refused":
            log.error("%s refuses the key", provider, extra=extra)
        case _:
            log.warning("%s did not say whether it accepts the key", provider, extra=extra)
