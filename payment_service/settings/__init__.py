"""Reads the environment into frozen Settings; only this package reads os.environ."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from msgspec import Struct, field

from payment_service.schema.fields import Fault, Faults, fill, names_of
from payment_service.schema.secret import Secret
from payment_service.settings import rules
from payment_service.settings.checks import names
from payment_service.settings.environment import SettingsError, environment, is_on_platform
from payment_service.settings.unknown_names import link_problem, name_warnings

__all__ = [
    "SANDBOX_KEY",
    "Settings",
    "SettingsError",
    "environ_for_gunicorn",
    "environment",
    "forget_blank_settings",
    "load_settings",
    "unknown_settings",
]

# No Stripe account can have this key, so it shows that STRIPE_API_BASE is the sandbox.
SANDBOX_KEY = "sk_test_sandbox"

# A claim that its owner does not renew, an update's, outlives the request budget by this much, so
# that neither clock skew of several seconds nor a late write admits a second sender.
LOCK_MARGIN_SECONDS = 10.0

# Per store operation: two of them (claim, finish) must fit into the smallest budget.
STORE_TIMEOUT_SECONDS = 2.0

# A shopper sends a few requests; a card tester sends hundreds a minute. Many shoppers may share
# an address (an office, a mobile network), so the limit is far above what one shopper needs.
DEFAULT_ADDRESS_LIMIT = 300

# The secret with which `make run` lets the sandbox sign webhooks.
SANDBOX_WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - signs local webhooks only

# A shell, our `.env` and systemd remove quotes; `docker --env-file` and `kubectl --from-env-file`
# pass them on.
QUOTES = "is between quotes, which are part of the value: remove them"
_QUOTED = re.compile(r"""(["'`]).*\1""", re.DOTALL)


class Settings(Struct, frozen=True, kw_only=True):
    """The checked settings. Durations are in seconds; repr hides secrets.

    A field's rule is the error message for a wrong value.
    """

    stripe_secret_key: rules.SecretKey
    stripe_publishable_key: rules.PublishableKey | None = None
    stripe_webhook_secret: rules.WebhookSecrets | None = None
    stripe_api_base: rules.BaseUrl | None = None
    stripe_api_version: rules.Version | None = None
    stripe_max_attempts: rules.Attempts = 3
    stripe_connect_timeout_seconds: rules.ConnectSeconds = 3.0
    stripe_read_timeout_seconds: rules.ReadSeconds = 10.0
    https_proxy: rules.ProxyUrl | None = None
    no_proxy: str | None = None
    ca_bundle: rules.CaBundle | None = None
    ssl_cert_file: rules.CaBundle | None = None
    request_budget_seconds: rules.BudgetSeconds = 25.0
    gateways: rules.Gateways = "stripe"
    failover: rules.Switch = False
    failover_after_seconds: rules.FailoverSeconds = 8.0
    failover_capture: rules.FailoverCapture | None = None
    paypal_client_id: rules.PayPalClientId | None = None
    paypal_client_secret: rules.PayPalSecret | None = None
    paypal_webhook_id: rules.PayPalWebhookIds | None = None
    paypal_api_base: rules.BaseUrl | None = None
    paypal_return_url: rules.ShopPage | None = None
    paypal_cancel_url: rules.ShopPage | None = None
    paypal_landing_page: rules.LandingPage = "NO_PREFERENCE"
    paypal_brand_name: rules.BrandName | None = None
    key_store_url: rules.StoreUrl = Secret("memory://")
    order_events_url: rules.ListenerUrl | None = None
    order_events_secret: rules.OwnSecrets | None = None
    order_events_delivery: rules.Delivery = "embedded"
    host: rules.Host = "127.0.0.1"
    port: rules.Port = 4242
    keepalive_seconds: rules.IdleSeconds = 75
    web_concurrency: rules.Workers = field(default_factory=lambda: os.cpu_count() or 1)
    max_in_flight: rules.Places = 400
    clients_file: rules.File | None = None
    cors_origins: rules.Origins | None = None
    trusted_proxies: rules.Proxies = 0
    rate_limit_per_address: rules.PerMinute | None = None
    rate_limit_per_client: rules.PerMinute = 6000
    allow_unsafe_live: rules.Hazards | None = None
    flask_debug: rules.Switch = False
    metrics_host: rules.Host = "127.0.0.1"
    metrics_port: rules.Port | None = None
    prometheus_multiproc_dir: rules.Directory | None = None
    log_level: rules.LogLevel = "INFO"
    checkout_demo: rules.Switch = False
    demo_stage_url: rules.BaseUrl | None = None
    demo_api_key: rules.DemoKey | None = None

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
        if self.demo_api_key is not None and self.sandbox_url is None:
            raise ValueError("DEMO_API_KEY is for the sandbox only: the demo page shows it")
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
    def listed_gateways(self) -> list[str]:
        """The gateways of GATEWAYS, in order of preference."""
        return names(self.gateways)

    @property
    def several_gateways(self) -> bool:
        """Whether orders may be paid at more than one gateway, now or soon."""
        return len(self.listed_gateways) > 1

    @property
    def capture_waits(self) -> bool:
        """Whether a capture at the second gateway waits until the first one answers (rule 19).

        By default only with Redis, which may lose acknowledged writes when it fails over.
        """
        if self.failover_capture is not None:
            return self.failover_capture == "after_stripe"
        return self.key_store_url.get_secret_value().startswith("redis")

    @property
    def lock_seconds(self) -> float:
        """Longer than any request works on an order."""
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
    values = {name: given.get(name.upper(), "").strip() for name in names_of(Settings)}
    if not values["host"] and is_on_platform(given):
        # docs/decisions/0007-listen-address.md has the reasons.
        values["host"] = "0.0.0.0"
    try:
        settings = fill(Settings, {name: text for name, text in values.items() if text})
    except Faults as wrong:
        problems = [_problem(each, values.get(each.name, "")) for each in wrong.found]
        raise _error([*problems, *unknown_settings(given)]) from None
    # A path or a name may have any characters, so no rule finds the quotes.
    quoted = [
        f"{name.upper()}: {QUOTES}" for name, text in values.items() if _QUOTED.fullmatch(text)
    ]
    if quoted:
        raise _error(quoted)
    return settings


def unknown_settings(given: Mapping[str, str]) -> list[str]:
    """Return a warning for each variable that looks like a setting and is none."""
    return name_warnings(given, [name.upper() for name in names_of(Settings)])


def _error(problems: list[str]) -> SettingsError:
    return SettingsError("Settings: " + "; ".join(problems))


def environ_for_gunicorn() -> dict[str, str]:
    """Return the process's environment without empty settings, which count as not set.

    gunicorn also reads WEB_CONCURRENCY, and would parse an empty one as a number.
    """
    blank = _blank_settings()
    return {name: text for name, text in os.environ.items() if name not in blank}


def forget_blank_settings() -> None:
    """Remove blank settings from this process's environment: to prometheus_client they are set."""
    for name in _blank_settings():
        del os.environ[name]


def _blank_settings() -> list[str]:
    ours = (name.upper() for name in names_of(Settings))
    return [name for name in ours if name in os.environ and not os.environ[name].strip()]


def _problem(fault: Fault, text: str) -> str:
    if fault.kind == "missing":
        return (
            f"{fault.name.upper()} is not set: put your key (sk_test_…) into .env or the "
            "environment, or start the sandbox with `make run`"
        )
    if not fault.name:
        return fault.rule
    why = QUOTES if _QUOTED.fullmatch(text) else link_problem(fault.name.upper(), text)
    return f"{fault.name.upper()}: {why or fault.rule}"
