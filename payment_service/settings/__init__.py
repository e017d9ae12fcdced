"""Environment → frozen Settings: the only reader of os.environ; every wrong name in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Annotated, Literal

from dotenv.parser import Binding, parse_stream
from msgspec import Struct, field

from payment_service.schema.fields import Fault, Faults, fill, names_of, rule
from payment_service.schema.secret import Secret
from payment_service.settings.checks import (
    base_url,
    hazards,
    listener_url,
    names,
    number,
    origins,
    publishable_key,
    secret_key,
    store_url,
    switch,
    webhook_secrets,
    whole,
    writable_directory,
)

# No account can own it, so that it says by itself that Stripe's address is the sandbox's.
SANDBOX_KEY = "sk_test_sandbox"

# The lock outlives the budget by this much, so that neither clocks that differ by several
# seconds nor a late write let a second owner in while the first is still at work (rule 5).
LOCK_MARGIN_SECONDS = 10.0

# One store operation; two of them (claim, finish) must fit into the smallest budget.
STORE_TIMEOUT_SECONDS = 2.0

# A shopper asks a few times; a card tester, hundreds of times a minute. Many shoppers may share
# an address (an office, a mobile network), so it is far above what one of them needs.
DEFAULT_ADDRESS_LIMIT = 300

# What `make run` gives the sandbox to sign with.
SANDBOX_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - signs what goes to this machine only


class SettingsError(Exception):
    """The environment does not make a service; the message is one line for a person."""


_SecretKey = Annotated[Secret, rule(then=secret_key)]
_PublishableKey = Annotated[str, rule(then=publishable_key)]
_WebhookSecrets = Annotated[Secret, rule(then=webhook_secrets)]
_Version = Annotated[
    str,
    rule(
        "must be a version like 2026-10-28.endive",
        pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[A-Za-z0-9_]+)?",
    ),
]
_Attempts = Annotated[int, rule("must be an integer from 1 to 10", first=whole, ge=1, le=10)]
_ConnectSeconds = Annotated[
    float, rule("must be seconds, above 0 and up to 60", first=number, gt=0, le=60)
]
_ReadSeconds = Annotated[
    float, rule("must be seconds, above 0 and up to 80", first=number, gt=0, le=80)
]
_BudgetSeconds = Annotated[
    float, rule("must be seconds, from 1 to 120", first=number, ge=1, le=120)
]
_CacheSeconds = Annotated[float, rule("must be a number from 0 to 10", first=number, ge=0, le=10)]
_StoreUrl = Annotated[Secret, rule(then=store_url)]
_Delivery = Annotated[Literal["embedded", "separate"], rule("must be embedded or separate")]
_BaseUrl = Annotated[str, rule(then=base_url)]
_ListenerUrl = Annotated[str, rule(then=listener_url)]
_Host = Annotated[str, rule("must be a host name or an IP address", pattern="[A-Za-z0-9._:%-]+")]
_Port = Annotated[int, rule("must be an integer from 1 to 65535", first=whole, ge=1, le=65535)]
_Workers = Annotated[int, rule("must be an integer from 1 to 512", first=whole, ge=1, le=512)]
_Places = Annotated[int, rule("must be an integer from 1 to 4096", first=whole, ge=1, le=4096)]
_Proxies = Annotated[int, rule("must be an integer from 0 to 10", first=whole, ge=0, le=10)]
_PerMinute = Annotated[
    int, rule("must be requests a minute, 0 for no limit", first=whole, ge=0, le=1_000_000)
]
_Origins = Annotated[str, rule(then=origins)]
_Hazards = Annotated[str, rule(then=hazards)]
_Switch = Annotated[bool, rule("must be 1 or 0", first=switch)]
_File = Annotated[Path, rule()]
_Directory = Annotated[Path, rule(then=writable_directory)]
_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], rule("must be DEBUG, INFO, WARNING or ERROR")
]


class Settings(Struct, frozen=True, kw_only=True):
    """What the service was told, checked. Durations in seconds; secrets do not show in repr.

    Each rule is what a person is told when the setting is wrong.
    """

    stripe_secret_key: _SecretKey
    stripe_publishable_key: _PublishableKey | None = None
    stripe_webhook_secret: _WebhookSecrets | None = None
    stripe_api_base: _BaseUrl | None = None
    stripe_api_version: _Version | None = None
    stripe_max_attempts: _Attempts = 3
    stripe_connect_timeout_seconds: _ConnectSeconds = 3.0
    stripe_read_timeout_seconds: _ReadSeconds = 10.0
    request_budget_seconds: _BudgetSeconds = 25.0
    key_store_url: _StoreUrl = Secret("memory://")
    order_events_url: _ListenerUrl | None = None
    order_events_secret: _WebhookSecrets | None = None
    order_events_delivery: _Delivery = "embedded"
    host: _Host = "127.0.0.1"
    port: _Port = 4242
    web_concurrency: _Workers = field(default_factory=lambda: os.cpu_count() or 1)
    max_in_flight: _Places = 400
    answer_cache_seconds: _CacheSeconds = 0.0
    clients_file: _File | None = None
    cors_origins: _Origins | None = None
    trusted_proxies: _Proxies = 0
    rate_limit_per_address: _PerMinute | None = None
    rate_limit_per_client: _PerMinute = 6000
    allow_unsafe_live: _Hazards | None = None
    flask_debug: _Switch = False
    metrics_host: _Host = "127.0.0.1"
    metrics_port: _Port | None = None
    prometheus_multiproc_dir: _Directory | None = None
    log_level: _LogLevel = "INFO"
    checkout_demo: _Switch = False
    demo_stage_url: _BaseUrl | None = None

    def __post_init__(self) -> None:
        """Check what they are together. Raises ValueError."""
        key, base = self.stripe_publishable_key, self.stripe_api_base
        if key is not None and key.startswith("pk_live_") != self.livemode:
            raise ValueError(
                "STRIPE_PUBLISHABLE_KEY and STRIPE_SECRET_KEY must both be test or both be live"
            )
        if self.order_events_url is not None and self.order_events_secret is None:
            raise ValueError("ORDER_EVENTS_SECRET is not set: ORDER_EVENTS_URL needs it")
        plain = base is not None and not base.startswith("https://")
        if self.livemode and plain and "plain_http" not in self.allowed_hazards:
            raise ValueError(
                "STRIPE_API_BASE: must be https:// where the secret key is live "
                "(or ALLOW_UNSAFE_LIVE=plain_http)"
            )
        if self.checkout_demo and self.livemode:
            raise ValueError(
                "CHECKOUT_DEMO must not be set with a live key: the demo sells what does not exist"
            )

    @property
    def sandbox_url(self) -> str | None:
        """The sandbox's address, where that is what stands in for Stripe."""
        key = self.stripe_secret_key.get_secret_value()
        return self.stripe_api_base if key.startswith(SANDBOX_KEY) else None

    @property
    def livemode(self) -> bool:
        """Whether the secret key moves real money."""
        return "_live_" in self.stripe_secret_key.get_secret_value()[:8]

    @property
    def allowed_hazards(self) -> list[str]:
        """What a live key may be used with all the same."""
        return names(self.allow_unsafe_live or "")

    @property
    def listed_origins(self) -> list[str]:
        """The pages that may call, besides those of each client."""
        return names(self.cors_origins) if self.cors_origins else []

    @property
    def address_limit(self) -> int:
        """Requests a minute from one address; 0 where there is no limit.

        Only where strangers are expected is there one that nobody asked for.
        """
        if self.rate_limit_per_address is not None:
            return self.rate_limit_per_address
        return DEFAULT_ADDRESS_LIMIT if self.clients_file or self.livemode else 0

    @property
    def lock_seconds(self) -> float:
        """How long a claim holds: longer than the request that made it can last."""
        return self.request_budget_seconds + LOCK_MARGIN_SECONDS

    @property
    def store_timeout_seconds(self) -> float:
        """The bound of one store operation."""
        return min(STORE_TIMEOUT_SECONDS, self.request_budget_seconds / 5)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment, and `.env` of the working directory beneath it.

    An empty value counts as not set. Raises SettingsError, which names every wrong setting
    and never prints a value.
    """
    given = environment() if environ is None else environ
    known = {name: given.get(name.upper(), "").strip() for name in names_of(Settings)}
    try:
        return fill(Settings, {name: text for name, text in known.items() if text})
    except Faults as wrong:
        raise SettingsError("Settings: " + "; ".join(map(_complaint, wrong.found))) from None


def environment() -> dict[str, str]:
    """Return the environment over what `.env` says. Raises SettingsError."""
    beneath: dict[str, str | None] = {}
    # Without interpolation: a password may hold ${.
    for line in parse_stream(StringIO(_text_of_dotenv())):
        if line.error:
            raise SettingsError(
                f"Settings: .env: line {_number_of(line)} cannot be read: it must be NAME=value"
            )
        if line.key is not None:
            beneath[line.key] = line.value
    return {**{name: text for name, text in beneath.items() if text is not None}, **os.environ}


def _number_of(line: Binding) -> int:
    """Blank lines before it are part of it."""
    given = line.original.string
    return line.original.line + given.count("\n") - given.lstrip().count("\n")


def _text_of_dotenv() -> str:
    """Return what it says, once: it may be a pipe. Nothing where there is no such file."""
    path = Path.cwd() / ".env"
    try:
        return path.read_text("utf-8") if path.exists() and not path.is_dir() else ""
    except (OSError, UnicodeDecodeError) as wrong:
        raise SettingsError("Settings: .env cannot be read: it must be UTF-8 text") from wrong


def environ_for_gunicorn() -> dict[str, str]:
    """Return the process's environment without the settings that are empty, which are not set.

    gunicorn reads WEB_CONCURRENCY, too, and takes an empty one for a number.
    """
    ours = {name.upper() for name in names_of(Settings)}
    return {name: text for name, text in os.environ.items() if text.strip() or name not in ours}


def _complaint(fault: Fault) -> str:
    if fault.kind == "missing":
        return (
            f"{fault.name.upper()} is not set: put your key (sk_test_…) into .env or the "
            "environment, or start the sandbox with `make run`"
        )
    return f"{fault.name.upper()}: {fault.rule}" if fault.name else fault.rule
