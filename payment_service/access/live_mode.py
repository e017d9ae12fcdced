"""Refuses to start with a live key and unsafe settings: each hazard with its remedy and opt-out.

This check is not part of settings/, because it is for the service and not for scripts.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from payment_service.settings import SANDBOX_WEBHOOK_SECRET, Settings, SettingsError
from payment_service.settings.checks import names

if TYPE_CHECKING:
    from payment_service.access.clients import Clients

# Host names that may be a sandbox's and are never Stripe's.
_LOCAL_NAMES = ("localhost", "sandbox", "host.docker.internal")


def refuse_unsafe(settings: Settings, clients: Clients | None = None) -> None:
    """Raise a one-line SettingsError if a live key is used with unsafe settings.

    Hazards named in ALLOW_UNSAFE_LIVE are allowed. `clients` are those of the clients file.
    """
    if not settings.livemode:
        return
    found = [
        f"{what} ({remedy}, or ALLOW_UNSAFE_LIVE={name})"
        for name, what, remedy in _hazards(settings, clients)
        if name not in settings.allowed_hazards
    ]
    if found:
        raise SettingsError(f"Settings: a live STRIPE_SECRET_KEY with {'; with '.join(found)}")


def _hazards(settings: Settings, clients: Clients | None) -> Iterator[tuple[str, str, str]]:
    """Yield each hazard's name, description and remedy."""
    webhook_secrets = [settings.stripe_webhook_secret]
    webhook_secrets += [each.stripe_webhook_secret for each in clients or ()]
    if settings.clients_file is None:
        yield "open_access", "open access: anyone can use any order", "set CLIENTS_FILE"
    if settings.key_store_url.get_secret_value().startswith("memory:"):
        yield (
            "memory_store",
            "KEY_STORE_URL memory://, which forgets every order at a restart",
            "set KEY_STORE_URL to postgresql://, redis:// or sqlite:///",
        )
    if _is_local(_host(settings.stripe_api_base)):
        yield "sandbox_address", "STRIPE_API_BASE on this machine", "leave STRIPE_API_BASE empty"
    if settings.several_gateways and _is_local(_host(settings.paypal_api_base)):
        yield "sandbox_address", "PAYPAL_API_BASE on this machine", "leave PAYPAL_API_BASE empty"
    if settings.flask_debug or settings.log_level == "DEBUG":
        yield "debug", "FLASK_DEBUG or LOG_LEVEL=DEBUG", "unset FLASK_DEBUG, set LOG_LEVEL=INFO"
    if any(
        SANDBOX_WEBHOOK_SECRET in names(each.get_secret_value()) for each in webhook_secrets if each
    ):
        yield (
            "sandbox_secret",
            "the sandbox's webhook secret, which is public",
            "use the endpoint's secret from Stripe's dashboard",
        )


def _host(address: str | None) -> str:
    return urlsplit(address or "").hostname or ""


def _is_local(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and not address.is_global


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse a name as an IP address, in the resolver's short forms such as 127.1 too."""
    with suppress(ValueError):
        return ipaddress.ip_address(name)
    with suppress(OSError):
        return ipaddress.ip_address(socket.inet_aton(name))
    return None
