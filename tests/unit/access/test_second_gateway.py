"""The start refuses a second gateway that could not work, or that could lose track of money."""

from __future__ import annotations

from pathlib import Path

import pytest

from payment_service.access.second_gateway import refuse_second_gateway
from payment_service.settings import Settings, SettingsError, load_settings
from payment_service.wiring import clients_of, configure, paypal_apps
from tests.support.shop import clients_file, entry

APP = {"PAYPAL_CLIENT_ID": "app-1", "PAYPAL_CLIENT_SECRET": "hunter2"}
PAGES = {
    "PAYPAL_RETURN_URL": "https://shop.example/paid?order={order_id}",
    "PAYPAL_CANCEL_URL": "https://shop.example/cart?order={order_id}",
}
TEST = {"STRIPE_SECRET_KEY": "sk_test_x", "GATEWAYS": "stripe,paypal", **APP, **PAGES}
LIVE = {**TEST, "STRIPE_SECRET_KEY": "sk_live_x", "KEY_STORE_URL": "postgresql://u@h/d"}
ON = {"FAILOVER": "1"}

OWN_APP = (
    'stripe_account = "acct_1"',
    'paypal_client_id = "app-b"',
    'paypal_client_secret = "hunter2-b"',
)
OWN_PAGES = (
    'paypal_return_url = "https://b.example/{order_id}/paid"',
    'paypal_cancel_url = "https://b.example/{order_id}/cart"',
)

REFUSED = [
    ({"STRIPE_SECRET_KEY": "sk_test_x", **ON}, "set GATEWAYS=stripe,paypal, or FAILOVER=0"),
    ({**TEST, "PAYPAL_CLIENT_ID": ""}, "set PAYPAL_CLIENT_ID, or GATEWAYS=stripe"),
    ({**TEST, "PAYPAL_CLIENT_SECRET": " "}, "set PAYPAL_CLIENT_SECRET, or GATEWAYS=stripe"),
    ({**TEST, "PAYPAL_RETURN_URL": ""}, "set PAYPAL_RETURN_URL, or"),
    (
        {"STRIPE_SECRET_KEY": "sk_test_x", "GATEWAYS": "stripe,paypal"},
        "set PAYPAL_CLIENT_ID, PAYPAL_CLIENT_SECRET, PAYPAL_RETURN_URL, PAYPAL_CANCEL_URL, or",
    ),
    ({**LIVE, "KEY_STORE_URL": "memory://", **ON}, "set KEY_STORE_URL to postgresql://"),
    ({**LIVE, "KEY_STORE_URL": "", **ON}, "set KEY_STORE_URL to postgresql://"),
    (
        {**LIVE, "PAYPAL_API_BASE": "https://api-m.sandbox.paypal.com"},
        "play money; leave PAYPAL_API_BASE empty",
    ),
    ({**LIVE, "PAYPAL_API_BASE": "https://API-M.Sandbox.PayPal.com."}, "leave PAYPAL_API_BASE"),
    ({**TEST, "PAYPAL_API_BASE": "https://api-m.paypal.com"}, "leave PAYPAL_API_BASE empty"),
    ({**TEST, "PAYPAL_API_BASE": "http://paypal.example"}, "must be https://"),
    ({**LIVE, "PAYPAL_API_BASE": "http://10.0.0.1"}, "must be https://"),
    ({**TEST, **ON, "REQUEST_BUDGET_SECONDS": "8"}, "must be less than REQUEST_BUDGET_SECONDS"),
]

ALLOWED = [
    {"STRIPE_SECRET_KEY": "sk_live_x"},
    TEST,
    {**TEST, **ON},
    LIVE,
    {**LIVE, **ON},
    {**LIVE, "KEY_STORE_URL": "memory://"},
    {**LIVE, "PAYPAL_API_BASE": "https://api-m.paypal.com"},
    {**TEST, "PAYPAL_API_BASE": "https://api-m.sandbox.paypal.com"},
    {**TEST, "PAYPAL_API_BASE": "http://127.0.0.1:12112"},
    {**TEST, "PAYPAL_API_BASE": "http://[::1]:12112"},
    {**TEST, "PAYPAL_API_BASE": "http://localhost:12112"},
    {
        **TEST,
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_API_BASE": "http://sandbox:12111",
        "PAYPAL_API_BASE": "http://paypal-sandbox:12112",
    },
]


def refused(settings: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        refuse_second_gateway(settings, clients_of(settings))
    line = str(caught.value)
    assert "\n" not in line
    assert "hunter2" not in line
    return line


@pytest.mark.parametrize(("environ", "remedy"), REFUSED)
def test_start_stops_with_one_line_that_has_the_remedy(
    environ: dict[str, str], remedy: str
) -> None:
    assert remedy in refused(load_settings(environ))


@pytest.mark.parametrize("environ", ALLOWED)
def test_other_settings_start(environ: dict[str, str]) -> None:
    refuse_second_gateway(load_settings(environ))


def test_every_process_checks_it() -> None:
    with pytest.raises(SettingsError, match="GATEWAYS names paypal"):
        configure(load_settings({"STRIPE_SECRET_KEY": "sk_test_x", "GATEWAYS": "stripe,paypal"}))


def with_clients(directory: Path, *entries: str, **environ: str) -> Settings:
    path = clients_file(directory, *entries)
    return load_settings({**TEST, "CLIENTS_FILE": str(path), **environ})


def test_clients_apps_may_be_the_only_ones(tmp_path: Path) -> None:
    nothing = dict.fromkeys((*APP, *PAGES), "")
    settings = with_clients(tmp_path, entry("shop-b", *OWN_APP, *OWN_PAGES), **nothing)
    refuse_second_gateway(settings, clients_of(settings))
    assert paypal_apps(settings, clients_of(settings))[None] is None


def test_clients_app_needs_pages(tmp_path: Path) -> None:
    nothing = dict.fromkeys((*APP, *PAGES), "")
    line = refused(with_clients(tmp_path, entry("shop-b", *OWN_APP), **nothing))
    assert "CLIENTS_FILE: shop-b: set paypal_return_url" in line


def test_half_of_the_services_own_app_is_refused_beside_clients_apps(tmp_path: Path) -> None:
    given = {"PAYPAL_CLIENT_SECRET": ""}
    assert "set PAYPAL_CLIENT_SECRET" in refused(
        with_clients(tmp_path, entry("shop-b", *OWN_APP), **given)
    )


def test_client_with_its_own_stripe_account_has_only_its_own_app(tmp_path: Path) -> None:
    """The money would otherwise reach another merchant's account."""
    entries = [entry("shop-a", 'stripe_account = "acct_2"'), entry("shop-b", *OWN_APP)]
    settings = with_clients(tmp_path, *entries)
    apps = paypal_apps(settings, clients_of(settings))
    own, of_b = apps[None], apps["shop-b"]
    assert apps["shop-a"] is None
    assert own is not None
    assert of_b is not None
    assert (own.client_id, of_b.client_id) == ("app-1", "app-b")
    assert of_b.pages == own.pages


def test_client_may_have_only_pages_of_its_own(tmp_path: Path) -> None:
    settings = with_clients(tmp_path, entry("shop-a", *OWN_PAGES), entry("shop-b"))
    apps = paypal_apps(settings, clients_of(settings))
    of_a = apps["shop-a"]
    assert of_a is not None
    assert of_a.client_id == "app-1"
    assert of_a.pages.return_url == "https://b.example/{order_id}/paid"
    assert "shop-b" not in apps


def test_one_gateway_opens_no_app() -> None:
    assert paypal_apps(load_settings({**TEST, "GATEWAYS": ""})) == {}
