"""The composition root: build clients, metrics and payments from the settings; no HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from payment_service.access.live_mode import refuse_unsafe
from payment_service.access.paypal_events import PayPalEvents
from payment_service.access.second_gateway import refuse_second_gateway
from payment_service.access.webhook_secrets import WebhookSecrets
from payment_service.background.receivers import Receivers, receivers_of
from payment_service.gateways.contract import GatedGateway
from payment_service.gateways.send_report import RetryDetails, Send
from payment_service.gateways.stripe.opening import Account, open_gateway, open_transport
from payment_service.http_client.client import HttpClient
from payment_service.key_store import KeyStore, open_key_store
from payment_service.key_store.contract import Order
from payment_service.payments.circuits import Change, Circuits
from payment_service.payments.context import Context, Timing
from payment_service.payments.failover import Failover
from payment_service.payments.observer import Observation, Observe, ignore
from payment_service.payments.payments import Payments
from payment_service.payments.record.lease_keeper import LeaseKeeper
from payment_service.payments.record.records import Records
from payment_service.schema.gateway_names import PAYPAL, STRIPE
from payment_service.settings import Settings, SettingsError
from payment_service.telemetry import payment_log
from payment_service.telemetry.gateway_outage import GatewayOutage
from payment_service.telemetry.metrics.none import NoMetrics
from payment_service.telemetry.metrics.opening import open_metrics
from payment_service.telemetry.tracing.none import NoTracing
from payment_service.telemetry.tracing.opening import open_tracing

if TYPE_CHECKING:
    from payment_service.access.clients import Clients
    from payment_service.gateways.paypal.certificates import Certificates
    from payment_service.gateways.paypal.opening import PayPalApp


class Configuration(Struct, frozen=True):
    """The settings and the clients file, checked together. `clients` is None if access is open."""

    settings: Settings
    clients: Clients | None


# In a worker, the configuration that the server's master process read; None in other processes. All
# workers have the same configuration, and a file that is being edited does not fail a replacement.
inherited: Configuration | None = None


class Parts(Struct, frozen=True):
    """The components of a service. `clients` is None if access is open."""

    settings: Settings
    clients: Clients | None
    metrics: NoMetrics
    payments: Payments
    webhook_secrets: WebhookSecrets
    receivers: Receivers
    paypal_events: PayPalEvents
    tracing: NoTracing


def configure(settings: Settings) -> Configuration:
    """Read the clients file. Raises SettingsError, also if the settings are unsafe with it."""
    clients = clients_of(settings)
    refuse_unsafe(settings, clients)
    refuse_second_gateway(settings, clients)
    return Configuration(settings, clients)


def open_parts(
    configuration: Configuration, payments: Payments | None = None, *, counts: bool = True
) -> Parts:
    """Open every component; `payments` replaces the default one.

    Without `counts`, the process counts nothing for Prometheus, and has no traces.
    """
    settings, clients = configuration.settings, configuration.clients
    metrics = open_metrics(settings) if counts else NoMetrics()
    reported = inherited is not None
    tracing = open_tracing(metrics.spans, reported=reported) if counts else NoTracing()
    receivers = receivers_of(settings, clients)
    payments = payments or _open_payments(settings, clients, metrics, tracing, receivers)
    secrets = WebhookSecrets(settings.stripe_webhook_secret, clients)
    events = PayPalEvents(settings, clients, _certificates(settings))
    return Parts(settings, clients, metrics, payments, secrets, receivers, events, tracing)


def _certificates(settings: Settings) -> Certificates | None:
    if not settings.several_gateways:
        return None
    # Imported here because its cryptography takes a third of all memory.
    from payment_service.gateways.paypal.opening import open_certificates

    return open_certificates(settings, open_transport(settings))


def clients_of(settings: Settings) -> Clients | None:
    """Return the clients with access; None if access is open. Raises SettingsError."""
    if settings.clients_file is None:
        return None
    # Imported here because its cryptography takes a third of all memory, and only clients need it.
    from payment_service.access.clients import ClientsFileError, load_clients

    try:
        clients = load_clients(settings.clients_file, livemode=settings.livemode)
    except ClientsFileError as wrong:
        raise SettingsError(str(wrong)) from wrong
    key = settings.demo_api_key
    return clients if key is None else clients.with_demo(key.get_secret_value())


def _open_payments(
    settings: Settings,
    clients: Clients | None,
    metrics: NoMetrics,
    tracing: NoTracing,
    receivers: Receivers,
) -> Payments:
    def observe(seen: Observation) -> None:
        payment_log.log_observation(seen)
        metrics.observation(seen)
        tracing.observation(seen)

    outages = {each: GatewayOutage(gateway=each) for each in settings.listed_gateways}

    def report(send: Send, gateway: str) -> None:
        payment_log.log_send(send, gateway if settings.several_gateways else None)
        outages[gateway].send(send)
        metrics.send(send, gateway)
        tracing.send(send, gateway)

    def report_circuit(gateway: str, change: Change) -> None:
        payment_log.log_circuit(gateway, change)
        metrics.circuit(gateway, is_open=change == "circuit_opened")

    scheme = settings.key_store_url.get_secret_value().partition(":")[0]
    return open_payments(
        settings,
        accounts=accounts_of(clients),
        apps=paypal_apps(settings, clients),
        listed=None if clients is None else {client.id for client in clients},
        listened=receivers.any_for,
        observe=observe,
        report=report,
        report_retry=payment_log.log_retry,
        report_circuit=report_circuit,
        measured=lambda store: tracing.traced_store(metrics.measured(store), scheme),
    )


def accounts_of(clients: Clients | None) -> dict[str, Account]:
    """Map each client with its own Stripe account to that account."""
    return {
        client.id: Account(client.stripe_secret_key, client.stripe_account)
        for client in clients or ()
        if client.has_own_stripe
    }


def paypal_apps(
    settings: Settings, clients: Clients | None = None
) -> dict[str | None, PayPalApp | None]:
    """Map each client with its own PayPal app or pages to its app; None is the service's own.

    A client with its own Stripe account and no app has none: its money must not reach the service's
    account. Empty if no order is paid at PayPal.
    """
    if not settings.several_gateways:
        return {}
    from payment_service.gateways.paypal.opening import PayPalApp, app_of, pages_of

    own = app_of(settings)
    apps: dict[str | None, PayPalApp | None] = {None: own}
    for client in clients or ():
        pages = pages_of(settings, client.paypal_return_url, client.paypal_cancel_url)
        if client.paypal_client_id and client.paypal_client_secret and pages:
            apps[client.id] = PayPalApp(client.paypal_client_id, client.paypal_client_secret, pages)
        elif client.has_own_stripe:
            apps[client.id] = None
        elif own and pages and pages != own.pages:
            apps[client.id] = replace(own, pages=pages)
    return apps


def open_payments(
    settings: Settings,
    *,
    accounts: Mapping[str, Account] | None = None,
    apps: Mapping[str | None, PayPalApp | None] | None = None,
    listed: Collection[str] | None = None,
    listened: Callable[[Order], bool] | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    observe: Observe = ignore,
    report: Callable[[Send, str], None] = lambda _, __: None,
    report_retry: Callable[[RetryDetails], None] = lambda _: None,
    report_circuit: Callable[[str, Change], None] = lambda _, __: None,
    measured: Callable[[KeyStore], KeyStore] = lambda store: store,
) -> Payments:
    """Open the key store and the connections to the gateways, and return the payments.

    `clock` returns Unix seconds; `sleep` waits between sends and between polls. `listed`: the
    clients whose accounts are known; None if there is no list and all orders are in one account.
    `listened`: whether a shop listens to an order's events; by default, if ORDER_EVENTS_URL is set.
    `apps`: see paypal_apps; by default the settings' own. `report` also gets the gateway's name.
    """
    store = open_key_store(
        settings.key_store_url.get_secret_value(), timeout_seconds=settings.store_timeout_seconds
    )
    transport = open_transport(settings)
    given: Any = {"clock": clock, "sleep": sleep, "report_retry": report_retry}
    of_stripe = {**given, "report": lambda send: report(send, STRIPE)}
    gateway = open_gateway(settings, transport, **of_stripe)
    gateways = {
        client_id: open_gateway(settings, transport, account, **of_stripe)
        for client_id, account in (accounts or {}).items()
    }
    of_paypal = {**given, "report": lambda send: report(send, PAYPAL)}
    apps = paypal_apps(settings) if apps is None else apps
    gated = {
        client_id: _gated(settings, transport, app, of_paypal) for client_id, app in apps.items()
    }
    context = Context(
        Records(measured(store)),
        gateway,
        Timing(settings.lock_seconds, settings.store_timeout_seconds),
        clock,
        sleep,
        observe=observe,
        listened=listened or receivers_of(settings, None).any_for,
        serves=_served(settings, listed),
        leases=LeaseKeeper(in_background=True),
        gated=gated.get(None, {}),
        several_gateways=settings.several_gateways,
        failover=_failover(settings, report_circuit),
    )
    of_clients = {client_id: each for client_id, each in gated.items() if client_id is not None}
    return Payments(context, settings, gateways, of_clients, hang_up=gateway.close)


def _gated(
    settings: Settings, transport: HttpClient, app: PayPalApp | None, given: Mapping[str, Any]
) -> dict[str, GatedGateway]:
    """Return the gated gateways of an account, by name."""
    if app is None:
        return {}
    from payment_service.gateways.paypal import opening

    return {PAYPAL: opening.open_gateway(settings, transport, app, **given)}


def _failover(settings: Settings, report: Callable[[str, Change], None]) -> Failover | None:
    if not settings.failover:
        return None
    circuits = Circuits(report=report)
    return Failover(settings.failover_after_seconds, settings.capture_waits, circuits)


def _served(settings: Settings, listed: Collection[str] | None) -> Callable[[Order], bool]:
    """Return whether this service serves an order: by its mode and its client.

    An order without a client is older than the list, and in the only account of that time.
    """
    return lambda order: (
        order.livemode == settings.livemode
        and (listed is None or order.client_id is None or order.client_id in listed)
    )
