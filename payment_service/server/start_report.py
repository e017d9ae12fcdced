"""The log lines of a start: what runs, misspelt settings, and whether Stripe accepts the key.

The master logs once for all workers, and again after `kill -HUP`. The key is checked by one worker,
because the master must not have threads when it forks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from payment_service.access.webhook_secrets import WebhookSecrets
from payment_service.background.receivers import receivers_of
from payment_service.gateways.stripe.key_check import KeyCheck, check_key
from payment_service.gateways.stripe.opening import Account, open_gateway, open_transport
from payment_service.settings import Settings, SettingsError, environment, unknown_settings
from payment_service.telemetry.tracing import opening as tracing
from payment_service.wiring import Configuration, accounts_of

if TYPE_CHECKING:
    from payment_service.access.clients import Clients

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
        "order_events": settings.order_events_delivery if has_receivers else "off",
        "gateways": "stripe",
        "traces": tracing.state(),
        "pages": "on" if settings.checkout_demo or settings.sandbox_url else "off",
    }


def _mode(settings: Settings) -> str:
    if settings.sandbox_url:
        return "sandbox"
    return "live" if settings.livemode else "test"


def start_key_check(configuration: Configuration) -> None:
    """Check every key in a daemon thread, and log what Stripe says. Raises nothing.

    The sandbox accepts every key, so it is not asked.
    """
    if not configuration.settings.sandbox_url:
        threading.Thread(
            target=_check_keys, args=(configuration,), name="key-check", daemon=True
        ).start()


def _check_keys(configuration: Configuration) -> None:
    settings = configuration.settings
    transport = open_transport(settings)
    try:
        for name, account in _accounts(configuration.clients):
            _log_check(name, check_key(open_gateway(settings, transport, account).api))
    except Exception:
        # The check is a service to the operator. It must never be the reason of a failure.
        log.exception("the Stripe keys could not be checked")
    finally:
        transport.close()


def _accounts(clients: Clients | None) -> Iterator[tuple[str, Account | None]]:
    """Yield each account once, with the name of its setting."""
    yield "STRIPE_SECRET_KEY", None
    of_clients = accounts_of(clients)
    named = {account: f"CLIENTS_FILE: {client_id}" for client_id, account in of_clients.items()}
    yield from ((name, account) for account, name in named.items())


def _log_check(name: str, check: KeyCheck) -> None:
    match check.result:
        case "accepted":
            log.info("Stripe accepts the key", extra={"setting": name})
        case "refused":
            log.error("Stripe refuses the key", extra={"setting": name, "stripe": check.sentence})
        case _:
            extra = {"setting": name, "stripe": check.sentence}
            log.warning("Stripe did not say whether it accepts the key", extra=extra)
