"""What a live key refuses to start with: each hazard with its remedy, and its opt-out.

Beside settings/ and not in it: a script may use a live key as it likes, the service may not.
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

# Where nobody's Stripe is, but a sandbox may be.
_LOCAL_NAMES = ("localhost", "sandbox", "host.docker.internal")


def refuse_unsafe(settings: Settings, clients: Clients | None = None) -> None:
    """Raise SettingsError, one line, where live money would be in danger.

    What ALLOW_UNSAFE_LIVE names is let through. `clients` are those of the clients file.
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
    """Yield name, what is dangerous, and the remedy."""
    base = urlsplit(settings.stripe_api_base or "https://api.stripe.com")
    webhook_secrets = [settings.stripe_webhook_secret]
    webhook_secrets += [each.stripe_webhook_secret for each in clients or ()]
    if settings.clients_file is None:
        yield "open_access", "open access: anybody can ask for any order", "set CLIENTS_FILE"
    if settings.key_store_url.get_secret_value().startswith("memory:"):
        yield (
            "memory_store",
            "KEY_STORE_URL memory://, which forgets every order at a restart",
            "set KEY_STORE_URL to postgresql://, redis:// or sqlite:///",
        )
    if _is_local(base.hostname or ""):
        yield "sandbox_address", "STRIPE_API_BASE on this machine", "leave STRIPE_API_BASE empty"
    if settings.flask_debug or settings.log_level == "DEBUG":
        yield "debug", "FLASK_DEBUG or LOG_LEVEL=DEBUG", "unset FLASK_DEBUG, set LOG_LEVEL=INFO"
    if any(
        SANDBOX_WEBHOOK_SECRET in names(each.get_secret_value()) for each in webhook_secrets if each
    ):
        yield (
            "sandbox_secret",
            "the sandbox's webhook secret, which everybody knows",
            "take the endpoint's own from Stripe's dashboard",
        )


def _is_local(host: str) -> bool:
    name = host.lower().rstrip(".")
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    address = _address(name)
    return address is not None and not address.is_global


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return what a name is as an address; as the resolver reads it, 127.1 is one, too."""
    with suppress(ValueError):
        return ipaddress.ip_address(name)
    with suppress(OSError):
        return ipaddress.ip_address(socket.inet_aton(name))
    return None
