"""The line that says what runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from payment_service.server.start_report import facts
from payment_service.settings import load_settings
from payment_service.wiring import Configuration, configure
from tests.support.shop import clients_file, entry

KEY = {"STRIPE_SECRET_KEY": "sk_test_hunter2"}
SANDBOX = {"STRIPE_SECRET_KEY": "sk_test_sandbox", "STRIPE_API_BASE": "http://127.0.0.1:1"}
EVENTS = {"ORDER_EVENTS_URL": "https://hunter2.example", "ORDER_EVENTS_SECRET": "hunter2"}


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        (KEY, "mode", "test"),
        ({"STRIPE_SECRET_KEY": "rk_live_x"}, "mode", "live"),
        (SANDBOX, "mode", "sandbox"),
        (KEY, "account_access", "open"),
        (KEY, "key_store", "memory"),
        ({"KEY_STORE_URL": "postgres://u:hunter2@h/d"}, "key_store", "postgresql"),
        ({"KEY_STORE_URL": "rediss://:hunter2@h"}, "key_store", "rediss"),
        (KEY, "webhooks", "off: STRIPE_WEBHOOK_SECRET is not set"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_hunter2"}, "webhooks", "on"),
        (KEY, "order_events", "off"),
        (EVENTS, "order_events", "embedded"),
        ({**EVENTS, "ORDER_EVENTS_DELIVERY": "separate"}, "order_events", "separate"),
        (KEY, "gateways", "stripe"),
        ({"GATEWAYS": "stripe,paypal"}, "gateways", "stripe, paypal (failover off: FAILOVER=0)"),
        (
            {"GATEWAYS": "stripe,paypal", "FAILOVER": "1"},
            "gateways",
            "stripe, paypal (failover on)",
        ),
        (
            {"GATEWAYS": "stripe,paypal"},
            "paypal_webhooks",
            "off: PAYPAL_WEBHOOK_ID is not set",
        ),
        ({"GATEWAYS": "stripe,paypal", "PAYPAL_WEBHOOK_ID": "hunter2"}, "paypal_webhooks", "on"),
        (KEY, "traces", "off"),
        (KEY, "pages", "off"),
        ({"CHECKOUT_DEMO": "1"}, "pages", "on"),
        (SANDBOX, "pages", "on"),
    ],
)
def test_line_says_what_runs(environ: dict[str, str], name: str, value: str) -> None:
    found = facts(Configuration(load_settings({**KEY, **environ}), None))
    assert found[name] == value
    assert "hunter2" not in str(found)


def test_line_of_one_gateway_has_no_field_of_another() -> None:
    assert not [name for name in facts(configure(load_settings(KEY))) if "paypal" in name]


def test_line_counts_the_clients_and_knows_their_webhooks(tmp_path: Path) -> None:
    listed = [entry("shop-a"), entry("shop-b", 'stripe_webhook_secret = "whsec_hunter2"')]
    path = clients_file(tmp_path, *listed)
    settings = load_settings({**KEY, "CLIENTS_FILE": str(path)})
    found = facts(configure(settings))
    assert (found["account_access"], found["webhooks"]) == ("2 clients", "on")
