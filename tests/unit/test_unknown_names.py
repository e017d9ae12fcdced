"""Warnings about misspelt settings, and about variables that Kubernetes sets for a Service."""

from __future__ import annotations

import pytest

from payment_service.settings import SettingsError, load_settings, unknown_settings

# What the kubelet sets in every pod of the namespace for a Service named `stripe` with port 80.
LINKS = {
    "STRIPE_SERVICE_HOST": "10.0.0.7",
    "STRIPE_SERVICE_PORT": "80",
    "STRIPE_SERVICE_PORT_HTTP": "80",
    "STRIPE_PORT": "tcp://10.0.0.7:80",
    "STRIPE_PORT_80_TCP": "tcp://10.0.0.7:80",
    "STRIPE_PORT_80_TCP_PROTO": "tcp",
    "STRIPE_PORT_80_TCP_PORT": "80",
    "STRIPE_PORT_80_TCP_ADDR": "10.0.0.7",
}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("STRIPE_WEBHOOK_SECERT", "STRIPE_WEBHOOK_SECRET"),
        ("STRIPE_KEY", "STRIPE_SECRET_KEY"),
        ("STRIPE_API_KEY", "STRIPE_SECRET_KEY"),
        ("STRIPE_PUBLIC_KEY", "STRIPE_PUBLISHABLE_KEY"),
        ("ORDER_EVENT_URL", "ORDER_EVENTS_URL"),
        ("ORDER_EVENTS_SECRETS", "ORDER_EVENTS_SECRET"),
        ("KEY_STORE_URI", "KEY_STORE_URL"),
        ("RATE_LIMIT_PER_ADRESS", "RATE_LIMIT_PER_ADDRESS"),
        ("CLIENT_FILE", "CLIENTS_FILE"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
    ],
)
def test_misspelt_name_is_named_with_the_nearest_setting(name: str, nearest: str) -> None:
    (warning,) = unknown_settings({name: "hunter2"})
    assert warning.startswith(f"{name} is not a setting and has no effect: did you mean {nearest}?")
    assert "hunter2" not in warning


def test_name_like_no_setting_is_named_if_the_prefix_is_ours() -> None:
    (warning,) = unknown_settings({"PAYPAL_ZZZZ": "hunter2"})
    assert warning.startswith("PAYPAL_ZZZZ is not a setting and has no effect: ")


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_PROXY",
        "CURL_CA_BUNDLE",
        "NIX_SSL_CERT_FILE",
        "HOSTNAME",
        "HOME",
        "POSTGRES_PASSWORD",
        "GUNICORN_CMD_ARGS",
        "FLASK_APP",
    ],
)
def test_variables_of_other_software_are_not_named(name: str) -> None:
    assert unknown_settings({name: "x"}) == []


def test_blank_variable_counts_as_absent() -> None:
    assert unknown_settings({"STRIPE_WEBHOOK_SECERT": " "}) == []


def test_settings_themselves_are_not_named() -> None:
    assert unknown_settings({"STRIPE_SECRET_KEY": "sk_test_a", "METRICS_PORT": "1"}) == []


def test_variables_of_a_kubernetes_service_give_one_warning() -> None:
    (warning,) = unknown_settings(LINKS)
    assert all(name in warning for name in LINKS)
    assert "for a Service named stripe: set `enableServiceLinks: false`" in warning


def test_kubernetes_services_are_told_apart() -> None:
    links = {
        "KEY_STORE_PORT": "tcp://10.0.0.8:5432",
        "KEY_STORE_SERVICE_HOST": "10.0.0.8",
        "RATE_LIMIT_PORT": "tcp://10.0.0.9:80",
        "STRIPE_PORT": "hunter2",
    }
    misspelt, store, limit = unknown_settings(links)
    assert misspelt.startswith("STRIPE_PORT is not a setting")
    assert "KEY_STORE_PORT, KEY_STORE_SERVICE_HOST for a Service named key-store" in store
    assert "RATE_LIMIT_PORT for a Service named rate-limit" in limit


def test_setting_that_kubernetes_overwrote_is_explained() -> None:
    """A Service named `metrics` sets METRICS_PORT."""
    given = {"STRIPE_SECRET_KEY": "sk_test_a", "METRICS_PORT": "tcp://10.0.0.7:80"}
    with pytest.raises(SettingsError) as caught:
        load_settings(given)
    assert str(caught.value).startswith(
        "Settings: METRICS_PORT: Kubernetes set it for a Service named metrics: set `enable"
    )


def test_missing_key_error_names_the_misspelt_one() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"STRIPE_SECRETKEY": "hunter2"})
    line = str(caught.value)
    assert "STRIPE_SECRET_KEY is not set" in line
    assert "STRIPE_SECRETKEY is not a setting and has no effect: did you mean" in line
    assert "hunter2" not in line
    assert "\n" not in line
