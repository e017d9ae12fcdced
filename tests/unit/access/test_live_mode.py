"""A live key refuses to start with an unsafe setting, unless the operator allows it by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from payment_service.access.live_mode import refuse_unsafe
from payment_service.settings import SettingsError, load_settings
from payment_service.settings.checks import HAZARDS
from stripe_back_end_api import create_app
from tests.support.shop import clients_file, entry

SAFE = {
    "STRIPE_SECRET_KEY": "sk_live_hunter2",
    "CLIENTS_FILE": "clients.toml",
    "KEY_STORE_URL": "postgresql://u:hunter2@db/keys",
}
DANGERS = [
    ({"CLIENTS_FILE": ""}, "open_access", "set CLIENTS_FILE"),
    ({"KEY_STORE_URL": "memory://"}, "memory_store", "set KEY_STORE_URL"),
    ({"KEY_STORE_URL": ""}, "memory_store", "set KEY_STORE_URL"),
    ({"STRIPE_API_BASE": "https://127.0.0.1:12111"}, "sandbox_address", "leave STRIPE_API_BASE"),
    ({"STRIPE_API_BASE": "https://localhost"}, "sandbox_address", "leave STRIPE_API_BASE"),
    ({"STRIPE_API_BASE": "https://localhost."}, "sandbox_address", "leave STRIPE_API_BASE"),
    ({"STRIPE_API_BASE": "https://127.1"}, "sandbox_address", "leave STRIPE_API_BASE"),
    ({"STRIPE_API_BASE": "https://0x7f000001"}, "sandbox_address", "leave STRIPE_API_BASE"),
    ({"STRIPE_API_BASE": "https://[::1]:1"}, "sandbox_address", "leave STRIPE_API_BASE"),
    ({"STRIPE_API_BASE": "http://stripe.example"}, "plain_http", "https://"),
    (
        {"GATEWAYS": "stripe,paypal", "PAYPAL_API_BASE": "https://localhost"},
        "sandbox_address",
        "leave PAYPAL_API_BASE empty",
    ),
    ({"FLASK_DEBUG": "1"}, "debug", "unset FLASK_DEBUG"),
    ({"LOG_LEVEL": "DEBUG"}, "debug", "LOG_LEVEL=INFO"),
    ({"STRIPE_WEBHOOK_SECRET": "whsec_x,whsec_sandbox"}, "sandbox_secret", "dashboard"),
    ({"STRIPE_WEBHOOK_SECRET": "whsec_x, whsec_sandbox"}, "sandbox_secret", "dashboard"),
]


def error_of(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        refuse_unsafe(load_settings(environ))
    return str(caught.value)


@pytest.mark.parametrize("prefix", ["sk_live_", "rk_live_"])
@pytest.mark.parametrize(("danger", "name", "remedy"), DANGERS)
def test_error_names_each_danger_its_remedy_and_its_opt_out(
    danger: dict[str, str], name: str, remedy: str, prefix: str
) -> None:
    environ = {**SAFE, **danger, "STRIPE_SECRET_KEY": f"{prefix}hunter2"}
    line = error_of(environ)
    assert remedy in line
    assert f"ALLOW_UNSAFE_LIVE={name}" in line
    assert "\n" not in line
    assert "hunter2" not in line
    refuse_unsafe(load_settings({**environ, "ALLOW_UNSAFE_LIVE": name}))
    refuse_unsafe(load_settings({**environ, "STRIPE_SECRET_KEY": "sk_test_x"}))


def test_error_names_all_dangers() -> None:
    line = error_of({"STRIPE_SECRET_KEY": "sk_live_x", "LOG_LEVEL": "DEBUG"})
    for name in ("open_access", "memory_store", "debug"):
        assert f"ALLOW_UNSAFE_LIVE={name}" in line


def test_safe_settings_start() -> None:
    refuse_unsafe(load_settings(SAFE))


def test_sandbox_secret_of_one_client_is_unsafe(tmp_path: Path) -> None:
    entry_of_a = entry("shop-a") + '\nstripe_webhook_secret = "whsec_sandbox"'
    environ = {**SAFE, "CLIENTS_FILE": str(clients_file(tmp_path, entry_of_a))}
    with pytest.raises(SettingsError, match="ALLOW_UNSAFE_LIVE=sandbox_secret"):
        create_app(load_settings(environ))


def test_every_opt_out_is_tested() -> None:
    assert set(HAZARDS) == {name for _, name, _ in DANGERS}


def test_create_app_checks_live_mode() -> None:
    with pytest.raises(SettingsError, match="open_access"):
        create_app(load_settings({"STRIPE_SECRET_KEY": "sk_live_x"}))
