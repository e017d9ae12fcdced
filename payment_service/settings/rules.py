"""The rule of each setting: its type, its check, and the error message for a wrong value."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from payment_service.schema.fields import rule
from payment_service.schema.secret import Secret
from payment_service.settings.checks import (
    as_boolean,
    as_integer,
    as_list,
    as_number,
    base_url,
    ca_bundle,
    demo_key,
    hazards,
    listener_url,
    origins,
    proxy_url,
    shop_page,
    store_url,
    writable_directory,
)
from payment_service.settings.credentials import (
    own_secrets,
    paypal_client_id,
    paypal_secret,
    paypal_webhook_ids,
    publishable_key,
    secret_key,
    webhook_secrets,
)

SecretKey = Annotated[Secret, rule(then=secret_key)]
PublishableKey = Annotated[str, rule(then=publishable_key)]
WebhookSecrets = Annotated[Secret, rule(then=webhook_secrets)]
OwnSecrets = Annotated[Secret, rule(then=own_secrets)]
Version = Annotated[
    str,
    rule(
        "must be a version like 2026-10-28.endive",
        pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[A-Za-z0-9_]+)?",
    ),
]
Attempts = Annotated[int, rule("must be an integer from 1 to 10", first=as_integer, ge=1, le=10)]
ConnectSeconds = Annotated[
    float, rule("must be seconds, above 0 and up to 60", first=as_number, gt=0, le=60)
]
ReadSeconds = Annotated[
    float, rule("must be seconds, above 0 and up to 80", first=as_number, gt=0, le=80)
]
BudgetSeconds = Annotated[
    float, rule("must be seconds, from 1 to 120", first=as_number, ge=1, le=120)
]
Gateways = Annotated[
    Literal["stripe", "stripe,paypal"], rule("must be stripe or stripe,paypal", first=as_list)
]
FailoverSeconds = Annotated[
    float, rule("must be seconds, from 2 to 120", first=as_number, ge=2, le=120)
]
FailoverCapture = Annotated[
    Literal["at_once", "after_stripe"], rule("must be at_once or after_stripe")
]
PayPalClientId = Annotated[str, rule(then=paypal_client_id)]
PayPalSecret = Annotated[Secret, rule(then=paypal_secret)]
PayPalWebhookIds = Annotated[str, rule(then=paypal_webhook_ids)]
ShopPage = Annotated[str, rule(then=shop_page)]
LandingPage = Annotated[
    Literal["LOGIN", "GUEST_CHECKOUT", "NO_PREFERENCE"],
    rule("must be LOGIN, GUEST_CHECKOUT or NO_PREFERENCE"),
]
BrandName = Annotated[str, rule("must be 1 to 127 characters", pattern="[^\\x00-\\x1f]{1,127}")]
ProxyUrl = Annotated[Secret, rule(then=proxy_url)]
CaBundle = Annotated[Path, rule(then=ca_bundle)]
StoreUrl = Annotated[Secret, rule(then=store_url)]
Delivery = Annotated[Literal["embedded", "separate"], rule("must be embedded or separate")]
BaseUrl = Annotated[str, rule(then=base_url)]
ListenerUrl = Annotated[str, rule(then=listener_url)]
Host = Annotated[str, rule("must be a host name or an IP address", pattern="[A-Za-z0-9._:%-]+")]
Port = Annotated[int, rule("must be an integer from 1 to 65535", first=as_integer, ge=1, le=65535)]
Workers = Annotated[int, rule("must be an integer from 1 to 512", first=as_integer, ge=1, le=512)]
IdleSeconds = Annotated[
    int, rule("must be seconds, an integer from 1 to 3600", first=as_integer, ge=1, le=3600)
]
Places = Annotated[int, rule("must be an integer from 1 to 4096", first=as_integer, ge=1, le=4096)]
Proxies = Annotated[int, rule("must be an integer from 0 to 10", first=as_integer, ge=0, le=10)]
PerMinute = Annotated[
    int, rule("must be requests a minute, 0 for no limit", first=as_integer, ge=0, le=1_000_000)
]
Origins = Annotated[str, rule(then=origins)]
Hazards = Annotated[str, rule(then=hazards)]
Switch = Annotated[bool, rule("must be 1 or 0", first=as_boolean)]
DemoKey = Annotated[Secret, rule(then=demo_key)]
File = Annotated[Path, rule()]
Directory = Annotated[Path, rule(then=writable_directory)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], rule("must be DEBUG, INFO, WARNING or ERROR")
]
