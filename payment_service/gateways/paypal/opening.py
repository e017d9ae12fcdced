"""Open the connections to PayPal from the settings."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

from payment_service.gateways.paypal.api_calls import LIVE_BASE, SANDBOX_BASE, PayPalApi
from payment_service.gateways.paypal.certificates import Certificates
from payment_service.gateways.paypal.gateway import PayPalGateway
from payment_service.gateways.paypal.params import Pages
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.send_report import RetryDetails, Send
from payment_service.http_client.client import HttpClient
from payment_service.schema.secret import Secret
from payment_service.settings import Settings


class PayPalApp(Struct, frozen=True):
    """A REST app of a PayPal account, and the shop's pages that PayPal returns the shopper to."""

    client_id: str
    client_secret: Secret
    pages: Pages


def app_of(settings: Settings) -> PayPalApp | None:
    """Return the settings' own app; None if they have none."""
    client_id, secret = settings.paypal_client_id, settings.paypal_client_secret
    pages = pages_of(settings)
    return PayPalApp(client_id, secret, pages) if client_id and secret and pages else None


def pages_of(
    settings: Settings, return_url: str | None = None, cancel_url: str | None = None
) -> Pages | None:
    """Return the shop's pages, those of the settings by default; None if one is missing."""
    return_url = return_url or settings.paypal_return_url
    cancel_url = cancel_url or settings.paypal_cancel_url
    if not (return_url and cancel_url):
        return None
    return Pages(return_url, cancel_url, settings.paypal_landing_page, settings.paypal_brand_name)


def base_of(settings: Settings) -> str:
    """Return the address of PayPal's API, by default that of the Stripe key's mode."""
    return settings.paypal_api_base or (LIVE_BASE if settings.livemode else SANDBOX_BASE)


def open_gateway(
    settings: Settings,
    http: HttpClient,
    app: PayPalApp,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    report: Callable[[Send], None] = lambda _: None,
    report_retry: Callable[[RetryDetails], None] = lambda _: None,
) -> PayPalGateway:
    """Return the gateway of an app. All apps and Stripe's accounts can share `http`."""
    return PayPalGateway(
        app.client_id,
        app.client_secret,
        http,
        app.pages,
        livemode=settings.livemode,
        api_base=base_of(settings),
        policy=RetryPolicy(settings.stripe_max_attempts, sleep),
        clock=clock,
        report=report,
        report_retry=report_retry,
    )


def open_api(settings: Settings, http: HttpClient, app: PayPalApp) -> PayPalApi:
    """Return an app's requests without the retries of a gateway."""
    return PayPalApi(http, app.client_id, app.client_secret, base_of(settings))


def open_certificates(
    settings: Settings, http: HttpClient, clock: Callable[[], float] = time.time
) -> Certificates:
    """Return the certificates of PayPal's events, fetched when they are first needed."""
    return Certificates(http, base_of(settings), clock)
