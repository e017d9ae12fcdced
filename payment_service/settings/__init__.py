"""Reads the environment into frozen Settings; the only module that reads os.environ."""

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
    as_boolean,
    as_integer,
    as_number,
    base_url,
    hazards,
    listener_url,
    names,
    origins,
    publishable_key,
    secret_key,
    store_url,
    webhook_secrets,
    writable_directory,
)

# No Stripe account can have this key, so it shows that STRIPE_API_BASE is the sandbox.
SANDBOX_KEY = "sk_test_sandbox"

# The lease outlives the request budget by this much, so that neither clock skew of several seconds
# nor a late write admits a second owner while the first still works (rule 5).
LOCK_MARGIN_SECONDS = 10.0

# Per store operation: two of them (claim, finish) must fit into the smallest budget.
STORE_TIMEOUT_SECONDS = 2.0

# A shopper sends a few requests; a card tester sends hundreds a minute. Many shoppers may share
# an address (an office, a mobile network), so the limit is far above what one shopper needs.
DEFAULT_ADDRESS_LIMIT = 300

# The secret with which `make run` lets the sandbox sign webhooks.
SANDBOX_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - signs local webhooks only


class SettingsError(Exception):
    """The settings are invalid; the message is one line for a person."""


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
_Attempts = Annotated[int, rule("must be an integer from 1 to 10", first=as_integer, ge=1, le=10)]
_ConnectSeconds = Annotated[
    float, rule("must be seconds, above 0 and up to 60", first=as_number, gt=0, le=60)
]
_ReadSeconds = Annotated[
    float, rule("must be seconds, above 0 and up to 80", first=as_number, gt=0, le=80)
]
_BudgetSeconds = Annotated[
    float, rule("must be seconds, from 1 to 120", first=as_number, ge=1, le=120)
]
_CacheSeconds = Annotated[
    float, rule("must be a number from 0 to 10", first=as_number, ge=0, le=10)
]
_StoreUrl = Annotated[Secret, rule(then=store_url)]
_Delivery = Annotated[Literal["embedded", "separate"], rule("must be embedded or separate")]
_BaseUrl = Annotated[str, rule(then=base_url)]
_ListenerUrl = Annotated[str, rule(then=listener_url)]
_Host = Annotated[str, rule("must be a host name or an IP address", pattern="[A-Za-z0-9._:%-]+")]
_Port = Annotated[int, rule("must be an integer from 1 to 65535", first=as_integer, ge=1, le=65535)]
_Workers = Annotated[int, rule("must be an integer from 1 to 512", first=as_integer, ge=1, le=512)]
_IdleSeconds = Annotated[
    int, rule("must be seconds, an integer from 1 to 3600", first=as_integer, ge=1, le=3600)
]
_Places = Annotated[int, rule("must be an integer from 1 to 4096", first=as_integer, ge=1, le=4096)]
_Proxies = Annotated[int, rule("must be an integer from 0 to 10", first=as_integer, ge=0, le=10)]
_PerMinute = Annotated[
    int, rule("must be requests a minute, 0 for no limit", first=as_integer, ge=0, le=1_000_000)
]
_Origins = Annotated[str, rule(then=origins)]
_Hazards = Annotated[str, rule(then=hazards)]
_Switch = Annotated[bool, rule("must be 1 or 0", first=as_boolean)]
_File = Annotated[Path, rule()]
_Directory = Annotated[Path, rule(then=writable_directory)]
_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], rule("must be DEBUG, INFO, WARNING or ERROR")
]


class Settings(Struct, frozen=True, kw_only=True):
    """The checked settings. Durations are in seconds; repr hides secrets.

    A field's rule is the error message for a wrong value.
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
    keepalive_seconds: _IdleSeconds = 75
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
        """Validate settings that depend on each other. Raises ValueError."""
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
                "STRIPE_API_BASE: must be https:// if the secret key is live "
                "(or ALLOW_UNSAFE_LIVE=plain_http)"
            )
        if self.checkout_demo and self.livemode:
            raise ValueError(
                "CHECKOUT_DEMO must not be set with a live key: the demo's goods do not exist"
            )

    @property
    def sandbox_url(self) -> str | None:
        """The sandbox's address; None if the service uses Stripe."""
        key = self.stripe_secret_key.get_secret_value()
        return self.stripe_api_base if key.startswith(SANDBOX_KEY) else None

    @property
    def livemode(self) -> bool:
        """Whether the secret key moves real money."""
        return "_live_" in self.stripe_secret_key.get_secret_value()[:8]

    @property
    def allowed_hazards(self) -> list[str]:
        """The hazards that a live key may be used with."""
        return names(self.allow_unsafe_live or "")

    @property
    def listed_origins(self) -> list[str]:
        """The origins of CORS_ORIGINS; each client may list more."""
        return names(self.cors_origins) if self.cors_origins else []

    @property
    def address_limit(self) -> int:
        """The limit of requests a minute from one address; 0 means no limit.

        There is a default limit only with a clients file or a live key, where strangers may call.
        """
        if self.rate_limit_per_address is not None:
            return self.rate_limit_per_address
        return DEFAULT_ADDRESS_LIMIT if self.clients_file or self.livemode else 0

    @property
    def lock_seconds(self) -> float:
        """The lease of a claim: longer than the longest request."""
        return self.request_budget_seconds + LOCK_MARGIN_SECONDS

    @property
    def store_timeout_seconds(self) -> float:
        """The time-out of one store operation."""
        return min(STORE_TIMEOUT_SECONDS, self.request_budget_seconds / 5)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment, which overrides `.env` in the working directory.

    An empty value counts as not set. Raises SettingsError, which names every wrong setting
    and never shows a value.
    """
    given = environment() if environ is None else environ
    known = {name: given.get(name.upper(), "").strip() for name in names_of(Settings)}
    try:
        return fill(Settings, {name: text for name, text in known.items() if text})
    except Faults as wrong:
        raise SettingsError("Settings: " + "; ".join(map(_problem, wrong.found))) from None


def environment() -> dict[str, str]:
    """Return the variables of `.env`, overridden by the environment. Raises SettingsError."""
    beneath: dict[str, str | None] = {}
    # No interpolation: a password may contain ${.
    for line in parse_stream(StringIO(_text_of_dotenv())):
        if line.error:
            raise SettingsError(
                f"Settings: .env: line {_number_of(line)} cannot be read: it must be NAME=value"
            )
        if line.key is not None:
            beneath[line.key] = line.value
    return {**{name: text for name, text in beneath.items() if text is not None}, **os.environ}


def _number_of(line: Binding) -> int:
    """Return the line's number; `original` includes the blank lines before it."""
    given = line.original.string
    return line.original.line + given.count("\n") - given.lstrip().count("\n")


def _text_of_dotenv() -> str:
    """Read `.env` once, because it may be a pipe; return "" if it does not exist."""
    path = Path.cwd() / ".env"
    try:
        return path.read_text("utf-8") if path.exists() and not path.is_dir() else ""
    except (OSError, UnicodeDecodeError) as wrong:
        raise SettingsError("Settings: .env cannot be read: it must be UTF-8 text") from wrong


def environ_for_gunicorn() -> dict[str, str]:
    """Return the process's environment without empty settings, which count as not set.

    gunicorn also reads WEB_CONCURRENCY, and would parse an empty one as a number.
    """
    ours = {name.upper() for name in names_of(Settings)}
    return {name: text for name, text in os.environ.items() if text.strip() or name not in ours}


def _problem(fault: Fault) -> str:
    if fault.kind == "missing":
        return (
            f"{fault.name.upper()} is not set: put your key (sk_test_…) into .env or the "
            "environment, or start the sandbox with `make run`"
        )
    return f"{fault.name.upper()}: {fault.rule}" if fault.name else fault.rule
