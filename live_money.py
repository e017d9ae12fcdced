"""What a live key refuses to start with: each hazard with its remedy, and its opt-out.

Beside settings.py and not in it: a script may use a live key as it likes, the service may not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from settings import SANDBOX_WEBHOOK_SECRET, Settings, SettingsError

# Where nobody's Stripe is, but a sandbox may be.
_LOCAL_NAMES = ("localhost", "sandbox", "host.docker.internal")


def refuse_unsafe(settings: Settings) -> None:
    """Raise SettingsError, one line, where live money would be in danger.

    What ALLOW_UNSAFE_LIVE names is let through.
    """
    if not settings.livemode:
        return
    found = [
        f"{what} ({remedy}, or ALLOW_UNSAFE_LIVE={name})"
        for name, what, remedy in _hazards(settings)
        if name not in settings.allowed_hazards
    ]
    if found:
        raise SettingsError(f"Settings: a live STRIPE_SECRET_KEY with {'; with '.join(found)}")


def _hazards(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield name, what is dangerous, and the remedy."""
    base = urlsplit(settings.stripe_api_base or "https://api.stripe.com")
    webhook_secret = settings.stripe_webhook_secret
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
    if webhook_secret and SANDBOX_WEBHOOK_SECRET in webhook_secret.get_secret_value().split(","):
        yield (
            "sandbox_secret",
            "the sandbox's STRIPE_WEBHOOK_SECRET, which everybody knows",
            "take the endpoint's own from Stripe's dashboard",
        )


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() in _LOCAL_NAMES or host.lower().endswith(".localhost")
    return not address.is_global
