"""Put together what the settings ask for: clients, metrics, payments; no HTTP yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payment_service.access.live_mode import refuse_unsafe
from payment_service.access.webhook_secrets import WebhookSecrets
from payment_service.gateways.stripe.send import Send
from payment_service.payments.observer import Happening
from payment_service.payments.payments import Payments
from payment_service.settings import Settings, SettingsError
from payment_service.telemetry import request_log
from payment_service.telemetry.metrics.opening import NoMetrics, open_metrics
from stripe_payment import Account, open_payments

if TYPE_CHECKING:
    from payment_service.access.clients import Clients


@dataclass(frozen=True, slots=True)
class Parts:
    """What a service is made of. `clients` is None where access is open."""

    settings: Settings
    clients: Clients | None
    metrics: NoMetrics
    payments: Payments
    webhook_secrets: WebhookSecrets


def open_parts(settings: Settings, payments: Payments | None = None) -> Parts:
    """Open everything; `payments` is for those who bring their own. Raises SettingsError."""
    clients = clients_of(settings)
    refuse_unsafe(settings, clients)
    metrics = open_metrics(settings)
    payments = payments or _open_payments(settings, clients, metrics)
    secrets = WebhookSecrets(settings.stripe_webhook_secret, clients)
    return Parts(settings, clients, metrics, payments, secrets)


def clients_of(settings: Settings) -> Clients | None:
    """Return who may ask; None where anybody may. Raises SettingsError."""
    if settings.clients_file is None:
        return None
    # Its cryptography is a third of all memory: for those only who have clients.
    from payment_service.access.clients import ClientsFileError, load_clients

    try:
        return load_clients(settings.clients_file, livemode=settings.livemode)
    except ClientsFileError as wrong:
        raise SettingsError(str(wrong)) from wrong


def _open_payments(settings: Settings, clients: Clients | None, metrics: NoMetrics) -> Payments:
    def observe(happening: Happening) -> None:
        request_log.log_happening(happening)
        metrics.happening(happening)

    def tell(send: Send) -> None:
        request_log.log_send(send)
        metrics.send(send)

    return open_payments(
        settings,
        accounts=_accounts_of(clients),
        listed=None if clients is None else {client.id for client in clients},
        observe=observe,
        tell=tell,
        tell_retry=request_log.log_retry,
        measured=metrics.measured,
    )


def _accounts_of(clients: Clients | None) -> dict[str, Account]:
    """Return the Stripe account of each client that has one of its own."""
    return {
        client.id: Account(client.stripe_secret_key, client.stripe_account)
        for client in clients or ()
        if client.stripe_secret_key or client.stripe_account
    }
