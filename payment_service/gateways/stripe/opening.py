"""Open the connections to Stripe from the settings."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.send_report import RetryDetails, Send
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.http_client.client import HttpClient
from payment_service.http_client.opening import network_of
from payment_service.schema.secret import Secret
from payment_service.settings import Settings


class Account(Struct, frozen=True):
    """A client's own Stripe account: a secret key of its own, a Connect account, or both."""

    secret_key: Secret | None = None
    connected: str | None = None


def open_transport(settings: Settings) -> HttpClient:
    """Return the connection pool that all threads and all accounts share."""
    return HttpClient(
        connect_seconds=settings.stripe_connect_timeout_seconds,
        read_seconds=settings.stripe_read_timeout_seconds,
        keep=settings.max_in_flight,
        network=network_of(settings),
    )


def open_gateway(
    settings: Settings,
    http: HttpClient,
    account: Account | None = None,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    report: Callable[[Send], None] = lambda _: None,
    report_retry: Callable[[RetryDetails], None] = lambda _: None,
) -> StripeGateway:
    """Return the gateway of an account; of the settings' own account by default."""
    account = account or Account()
    key = account.secret_key or settings.stripe_secret_key
    return StripeGateway(
        key.get_secret_value(),
        http,
        stripe_account=account.connected,
        api_base=settings.stripe_api_base,
        api_version=settings.stripe_api_version,
        policy=RetryPolicy(settings.stripe_max_attempts, sleep),
        clock=clock,
        report=report,
        report_retry=report_retry,
    )
