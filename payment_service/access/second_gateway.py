"""Refuses to start with a second gateway that could not work, or that could lose track of money.

Each problem is one sentence with its remedy. There is no opt-out: with each of them, an order could
be paid with play money, be paid twice, or never be paid.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from payment_service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from payment_service.access.clients import Clients

_LIVE, _SANDBOX = ".paypal.com", ".sandbox.paypal.com"


def refuse_second_gateway(settings: Settings, clients: Clients | None = None) -> None:
    """Raise a one-line SettingsError if the second gateway must not be used with these settings."""
    if settings.several_gateways:
        problems = [*_missing(settings, clients), *_of_the_base(settings), *_unsafe(settings)]
    elif settings.failover:
        problems = ["FAILOVER=1 needs a second gateway: set GATEWAYS=stripe,paypal, or FAILOVER=0"]
    else:
        return
    if problems:
        raise SettingsError("Settings: " + "; ".join(problems))


def _missing(settings: Settings, clients: Clients | None) -> Iterator[str]:
    """Yield what PayPal cannot be used without."""
    pair = ("paypal_client_id", "paypal_client_secret")
    pages = ("paypal_return_url", "paypal_cancel_url")
    if clients and any(each.paypal_client_id for each in clients):
        # The clients' own apps may be the only ones. The service's own is whole or absent.
        if any(getattr(settings, name) for name in pair):
            yield from _unset(settings, (*pair, *pages))
        for client in clients:
            if client.uses_own_paypal and not _has_pages(settings, client):
                yield (
                    f"CLIENTS_FILE: {client.id}: set paypal_return_url and paypal_cancel_url, or "
                    "PAYPAL_RETURN_URL and PAYPAL_CANCEL_URL for all clients"
                )
    else:
        yield from _unset(settings, (*pair, *pages))


def _unset(settings: Settings, wanted: tuple[str, ...]) -> Iterator[str]:
    unset = [name.upper() for name in wanted if getattr(settings, name) is None]
    if unset:
        yield f"GATEWAYS names paypal: set {', '.join(unset)}, or GATEWAYS=stripe"


def _has_pages(settings: Settings, client: object) -> bool:
    return all(
        getattr(client, name) or getattr(settings, name)
        for name in ("paypal_return_url", "paypal_cancel_url")
    )


def _of_the_base(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with PAYPAL_API_BASE: money of one kind at an address of the other."""
    if settings.paypal_api_base is None:
        return
    address = urlsplit(settings.paypal_api_base)
    host = (address.hostname or "").lower().rstrip(".")
    if settings.livemode and host.endswith(_SANDBOX):
        yield (
            "PAYPAL_API_BASE is PayPal's sandbox, and STRIPE_SECRET_KEY is live: orders would be "
            "paid with play money; leave PAYPAL_API_BASE empty"
        )
    if not settings.livemode and host.endswith(_LIVE) and not host.endswith(_SANDBOX):
        yield (
            "PAYPAL_API_BASE is PayPal's live address, and STRIPE_SECRET_KEY is a test key; leave "
            "PAYPAL_API_BASE empty"
        )
    is_test_bed = settings.sandbox_url is not None or _is_loopback(host)
    if address.scheme != "https" and not is_test_bed:
        yield "PAYPAL_API_BASE must be https://, except on this machine"


def _unsafe(settings: Settings) -> Iterator[str]:
    """Yield the settings with which FAILOVER=1 cannot keep its promise."""
    if not settings.failover:
        return
    if settings.livemode and settings.key_store_url.get_secret_value().startswith("memory:"):
        yield (
            "FAILOVER=1 with a live key needs a store that outlives the process: set "
            "KEY_STORE_URL to postgresql://, redis:// or sqlite:///, or FAILOVER=0"
        )
    if settings.failover_after_seconds >= settings.request_budget_seconds:
        yield (
            "FAILOVER_AFTER_SECONDS must be less than REQUEST_BUDGET_SECONDS, or no time is left "
            "for the second gateway"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
