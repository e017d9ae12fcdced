"""Environment → frozen Settings: the only reader of os.environ; every wrong name in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from setting_checks import (
    hazards,
    http_url,
    names,
    origins,
    publishable_key,
    secret_key,
    store_url,
    webhook_secrets,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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


class Settings(BaseModel):
    """What the service was told, checked. Durations in seconds; secrets do not show in repr.

    Each description is what a person is told when the setting is wrong.
    """

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, validate_by_name=True
    )

    stripe_secret_key: Annotated[SecretStr, AfterValidator(secret_key)]
    stripe_publishable_key: Annotated[str, AfterValidator(publishable_key)] | None = None
    stripe_webhook_secret: Annotated[SecretStr, AfterValidator(webhook_secrets)] | None = None
    stripe_api_base: Annotated[str, AfterValidator(http_url)] | None = None
    stripe_api_version: str | None = Field(
        None,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(\.\w+)?$",
        description="must be a version like 2026-10-28.endive",
    )
    stripe_max_attempts: int = Field(3, ge=1, le=10, description="must be an integer from 1 to 10")
    stripe_connect_timeout_seconds: float = Field(
        3.0, gt=0, le=60, allow_inf_nan=False, description="must be seconds, above 0 and up to 60"
    )
    stripe_read_timeout_seconds: float = Field(
        10.0, gt=0, le=80, allow_inf_nan=False, description="must be seconds, above 0 and up to 80"
    )
    request_budget_seconds: float = Field(
        25.0, ge=1, le=120, allow_inf_nan=False, description="must be seconds, from 1 to 120"
    )
    key_store_url: Annotated[SecretStr, AfterValidator(store_url)] = SecretStr("memory://")
    order_events_url: Annotated[str, AfterValidator(http_url)] | None = None
    order_events_secret: Annotated[SecretStr, AfterValidator(webhook_secrets)] | None = None
    order_events_delivery: Literal["embedded", "separate"] = Field(
        "embedded", description="must be embedded or separate"
    )
    host: str = Field(
        "127.0.0.1",
        pattern=r"^[A-Za-z0-9._:%-]+$",
        description="must be a host name or an IP address",
    )
    port: int = Field(4242, ge=1, le=65535, description="must be an integer from 1 to 65535")
    web_concurrency: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=512,
        description="must be an integer from 1 to 512",
    )
    max_in_flight: int = Field(400, ge=1, le=4096, description="must be an integer from 1 to 4096")
    answer_cache_seconds: float = Field(
        0.0, ge=0, le=10, description="must be a number from 0 to 10"
    )
    clients_file: Path | None = None
    cors_origins: Annotated[str, AfterValidator(origins)] | None = None
    trusted_proxies: int = Field(0, ge=0, le=10, description="must be an integer from 0 to 10")
    rate_limit_per_address: int | None = Field(
        None, ge=0, le=1_000_000, description="must be requests a minute, 0 for no limit"
    )
    rate_limit_per_client: int = Field(
        6000, ge=0, le=1_000_000, description="must be requests a minute, 0 for no limit"
    )
    allow_unsafe_live: Annotated[str, AfterValidator(hazards)] | None = None
    flask_debug: bool = Field(False, description="must be 0 or 1")
    metrics_host: str = Field(
        "127.0.0.1",
        pattern=r"^[A-Za-z0-9._:%-]+$",
        description="must be a host name or an IP address",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="must be an integer from 1 to 65535"
    )
    prometheus_multiproc_dir: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="must be DEBUG, INFO, WARNING or ERROR"
    )
    checkout_demo: bool = Field(False, description="must be 1 or 0")
    demo_stage_url: Annotated[str, AfterValidator(http_url)] | None = None

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
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
        return self

    @model_validator(mode="after")
    def _no_demo_for_money(self) -> Self:
        if self.checkout_demo and self.livemode:
            raise ValueError(
                "CHECKOUT_DEMO must not be set with a live key: the demo sells what does not exist"
            )
        return self

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
    known = {name: given.get(name.upper(), "").strip() for name in Settings.model_fields}
    try:
        return Settings.model_validate({name: text for name, text in known.items() if text})
    except ValidationError as wrong:
        raise SettingsError(_one_line(wrong)) from None


def environment() -> dict[str, str]:
    """Return the environment over what `.env` says. Raises SettingsError."""
    try:
        # No interpolation: a password may hold ${.
        beneath = dotenv_values(Path.cwd() / ".env", interpolate=False)
    except (OSError, UnicodeDecodeError) as wrong:
        raise SettingsError("Settings: .env cannot be read: it must be UTF-8 text") from wrong
    return {**{name: text for name, text in beneath.items() if text is not None}, **os.environ}


def _one_line(wrong: ValidationError) -> str:
    errors = wrong.errors(include_url=False, include_input=False, include_context=False)
    return "Settings: " + "; ".join(_complaint(error) for error in errors)


def _complaint(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    field = str(error["loc"][0])
    if error["type"] == "missing":
        return (
            f"{field.upper()} is not set: put your key (sk_test_…) into .env or the environment, "
            "or start the sandbox with `make run`"
        )
    if error["type"] != "value_error":
        message = Settings.model_fields[field].description or message
    return f"{field.upper()}: {message}"
