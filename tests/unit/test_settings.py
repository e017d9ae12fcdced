"""Settings: one line names each invalid setting and its rule, and never shows the value."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values
from msgspec import NODEFAULT
from msgspec.structs import asdict, fields

from payment_service.http_client.opening import network_of
from payment_service.schema.fields import names_of
from payment_service.settings import QUOTES, Settings, SettingsError, load_settings
from payment_service.settings.environment import PLATFORMS
from tests.support.scripted_server import CERTIFICATE

ROOT = Path(__file__).resolve().parents[2]
KEY = {"STRIPE_SECRET_KEY": "sk_test_abc"}

WRONG = [
    ("STRIPE_SECRET_KEY", "hunter2", "sk_test_, sk_live_, rk_test_, rk_live_"),
    ("STRIPE_SECRET_KEY", "pk_test_hunter2", "sk_test_"),
    ("STRIPE_SECRET_KEY", "sk_test_hunter2\nX-Evil: 1", "sk_test_"),
    ("STRIPE_SECRET_KEY", "sk_test_hunter2é", "sk_test_"),
    ("STRIPE_SECRET_KEY", "sk_test_", "without spaces"),
    ("STRIPE_SECRET_KEY", "rk_live_hunter 2", "without spaces"),
    ("STRIPE_PUBLISHABLE_KEY", "sk_test_hunter2", "pk_test_ or pk_live_"),
    ("STRIPE_SECRET_KEY", "sk_test_hunter2...", "without spaces"),
    ("STRIPE_SECRET_KEY", "'sk_test_hunter2", "without spaces"),
    ("STRIPE_SECRET_KEY", "sk_test_hunter2\u200b", "without spaces"),
    ("STRIPE_SECRET_KEY", "sk_org_hunter2", "not an organization's"),
    ("STRIPE_SECRET_KEY", "whsec_hunter2", "sk_test_"),
    ("STRIPE_PUBLISHABLE_KEY", "pk_test_", "complete key"),
    ("STRIPE_PUBLISHABLE_KEY", "pk_test_hunter2…", "complete key"),
    ("STRIPE_PUBLISHABLE_KEY", "pk_test_hunter2 ,", "complete key"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2,,x", "separated by commas"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_", "like whsec_abc123"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2...", "like whsec_abc123"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_hunter 2", "like whsec_abc123"),
    ("STRIPE_WEBHOOK_SECRET", 'whsec_a,"whsec_hunter2"', "like whsec_abc123"),
    ("STRIPE_WEBHOOK_SECRET", "we_hunter2", "the endpoint's id"),
    ("STRIPE_WEBHOOK_SECRET", "sk_test_hunter2", "an API key"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_a,hunter2", "like whsec_abc123"),
    ("ORDER_EVENTS_SECRET", "hunter2,", "none of them empty"),
    ("ORDER_EVENTS_SECRET", "hunter 2", "spaces"),
    ("ORDER_EVENTS_SECRET", "hunter'2", "quotes"),
    *(
        ("ORDER_EVENTS_SECRET", f"{prefix}_hunter2", "a key of Stripe's")
        for prefix in ("sk_test", "rk_live", "pk_test", "we", "pi")
    ),
    ("STRIPE_API_BASE", "hunter2", "https://api.stripe.com"),
    ("STRIPE_API_BASE", "ftp://hunter2", "https://api.stripe.com"),
    *(
        (name, f"https://{rest}", "with no user")
        for name in ("STRIPE_API_BASE", "ORDER_EVENTS_URL", "DEMO_STAGE_URL")
        for rest in (
            "hunter.example:port",
            "hunter.example:0",
            "hunter.example:65536",
            "hunter .example",
            "hünter.example",
            "-hunter.example",
            "hunter..example",
            "",
            "me:hunter2@api.example",
            "hunter.example/#part",
            "hunter.example/a path",
            "[hunter",
            "[::1",
            "[:::]",
        )
    ),
    ("STRIPE_API_BASE", "https://hunter.example/?a=1", "query"),
    ("DEMO_STAGE_URL", "https://hunter.example?", "query"),
    ("STRIPE_API_VERSION", "hunter2", "2026-10-28.endive"),
    ("STRIPE_MAX_ATTEMPTS", "0", "from 1 to 10"),
    ("STRIPE_MAX_ATTEMPTS", "hunter2", "integer"),
    ("STRIPE_CONNECT_TIMEOUT_SECONDS", "0", "up to 60"),
    ("STRIPE_READ_TIMEOUT_SECONDS", "81", "up to 80"),
    ("STRIPE_READ_TIMEOUT_SECONDS", "nan", "seconds"),
    ("REQUEST_BUDGET_SECONDS", "inf", "from 1 to 120"),
    ("REQUEST_BUDGET_SECONDS", "hunter2", "seconds"),
    (
        "KEY_STORE_URL",
        "mysql://me:hunter2@host/db",
        "memory://, sqlite://, postgresql://, redis://",
    ),
    ("KEY_STORE_URL", "hunter2", "memory://"),
    *(
        ("HTTPS_PROXY", wrong, "http://proxy.example:3128")
        for wrong in (
            "hunter.example:3128",
            "socks5://hunter.example",
            "http://me:hunter2@",
            "http://me:hunter@2@proxy.example",
            "http://me:hunter/2@proxy.example",
            "http://hunter.example/path",
            "http://hunter .example",
            "http://me:hunter2@proxy.example:70000",
            "http://me:hunter2@proxy.example:0",
            "http://me:hunter#2@proxy.example",
            "http://me:hunter?2@proxy.example",
            "http://me:hunter%2@proxy.example",
            "http://me:hunter%00@proxy.example",
            "http://me:hunter2@[1::2::3]",
        )
    ),
    ("CA_BUNDLE", "/nonexistent/hunter2", "PEM"),
    ("CA_BUNDLE", __file__, "PEM"),
    ("SSL_CERT_FILE", "/", "PEM"),
    ("HOST", "hunter 2", "host name"),
    ("PORT", "0", "from 1 to 65535"),
    ("PORT", "65536", "from 1 to 65535"),
    ("PORT", "hunter2", "integer"),
    ("WEB_CONCURRENCY", "0", "from 1 to 512"),
    ("MAX_IN_FLIGHT", "-1", "from 1 to 4096"),
    ("REQUEST_BUDGET_SECONDS", "-inf", "from 1 to 120"),
    ("FLASK_DEBUG", "hunter2", "1 or 0"),
    ("CHECKOUT_DEMO", "2", "1 or 0"),
    ("PROMETHEUS_MULTIPROC_DIR", "/nonexistent/hunter2", "directory that exists"),
    ("PROMETHEUS_MULTIPROC_DIR", __file__, "directory that exists"),
    ("GATEWAYS", "hunter2", "stripe or stripe,paypal"),
    ("GATEWAYS", "paypal,stripe", "stripe or stripe,paypal"),
    ("GATEWAYS", "stripe,stripe", "stripe or stripe,paypal"),
    ("FAILOVER", "hunter2", "1 or 0"),
    ("FAILOVER_AFTER_SECONDS", "1", "from 2 to 120"),
    ("FAILOVER_CAPTURE", "hunter2", "at_once or after_stripe"),
    ("PAYPAL_CLIENT_ID", "hunter 2", "without spaces"),
    ("PAYPAL_CLIENT_SECRET", "hunter2…", "without spaces"),
    ("PAYPAL_WEBHOOK_ID", "hunter2,,x", "separated by commas"),
    ("PAYPAL_WEBHOOK_ID", "https://hunter2.example", "like 1JE4291016473214C"),
    ("PAYPAL_API_BASE", "hunter2", "must be an address"),
    ("PAYPAL_RETURN_URL", "https://hunter2.example/paid", "{order_id} in it"),
    ("PAYPAL_RETURN_URL", "https://hunter2.example/{order}/{order_id}", "{order_id} in it"),
    ("PAYPAL_RETURN_URL", "javascript:{order_id}", "{order_id} in it"),
    ("PAYPAL_CANCEL_URL", "https://me:hunter2@shop.example/{order_id}", "{order_id} in it"),
    ("PAYPAL_LANDING_PAGE", "hunter2", "LOGIN, GUEST_CHECKOUT or NO_PREFERENCE"),
    ("PAYPAL_BRAND_NAME", "hunter2" * 20, "1 to 127 characters"),
    ("LOG_LEVEL", "info", "DEBUG, INFO, WARNING or ERROR"),
    ("LOG_LEVEL", "hunter2", "DEBUG, INFO, WARNING or ERROR"),
]


def error_of(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return str(caught.value)


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_error_names_the_setting_and_its_rule(name: str, value: str, allowed: str) -> None:
    line = error_of({**KEY, name: value})
    assert line.startswith(f"Settings: {name}: ")
    assert allowed in line
    assert "\n" not in line
    assert "hunter" not in line


ISSUED = [
    ("STRIPE_SECRET_KEY", "sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
    ("STRIPE_SECRET_KEY", f"sk_live_51{'H3x' * 33}"),
    ("STRIPE_SECRET_KEY", f"rk_live_51{'H3x' * 33}"),
    ("STRIPE_PUBLISHABLE_KEY", f"pk_test_51{'H3x' * 33}"),
    ("STRIPE_WEBHOOK_SECRET", f"whsec_{'Ab3' * 10}x2"),
    ("STRIPE_WEBHOOK_SECRET", f"whsec_{'0f' * 32}"),  # the Stripe CLI's
    ("STRIPE_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_dGVzdA+/=="),
    ("STRIPE_WEBHOOK_SECRET", "whsec_new, whsec_old"),
    ("ORDER_EVENTS_SECRET", f"{'0f' * 32},whsec_dGVzdA+/=="),
]


@pytest.mark.parametrize(("name", "value"), ISSUED)
def test_credentials_that_are_issued_are_accepted(name: str, value: str) -> None:
    load_settings({**KEY, name: value})


QUOTABLE = sorted(name.upper() for name in names_of(Settings))


@pytest.mark.parametrize("name", QUOTABLE)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_kept_around_any_value_are_an_error(name: str, quote: str) -> None:
    """`docker --env-file` keeps them."""
    line = error_of({**KEY, name: f"{quote}hunter2{quote}"})
    assert line == f"Settings: {name}: {QUOTES}"


@pytest.mark.parametrize(
    ("name", "texts", "value"),
    [
        ("PORT", ["8080", "08080"], 8080),
        ("REQUEST_BUDGET_SECONDS", ["2.5", "2.50", "25e-1"], 2.5),
        ("STRIPE_CONNECT_TIMEOUT_SECONDS", [".5", "0.5"], 0.5),
        ("CHECKOUT_DEMO", ["1", "true", "True", "YES", "on"], True),
        ("CHECKOUT_DEMO", ["0", "false", "No", "off"], False),
    ],
)
def test_common_spellings_are_accepted(name: str, texts: list[str], value: object) -> None:
    for text in texts:
        assert getattr(load_settings({**KEY, name: text}), name.lower()) == value


def test_common_url_spellings_are_accepted() -> None:
    for text in ("HTTPS://api.stripe.com", "https://api.stripe.com/"):
        assert load_settings({**KEY, "STRIPE_API_BASE": text}).stripe_api_base == (
            "https://api.stripe.com"
        )
    for text in ("http://[::1]:1", "http://a_container:65535/v0", "http://10.0.0.1"):
        assert load_settings({**KEY, "STRIPE_API_BASE": text}).stripe_api_base == text


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy.example:3128",
        "HTTPS://me:h%40t@[::1]:1/",
        "http://10.0.0.1",
        "http://m-e_.~!$&'()*+,;<=>:%25%3f@a_b:65535",
    ],
)
def test_proxy_is_kept_secret_and_unchanged(proxy: str) -> None:
    found = load_settings({**KEY, "HTTPS_PROXY": proxy})
    assert found.https_proxy is not None
    assert found.https_proxy.get_secret_value() == proxy
    assert "h%40t" not in repr(found)


def test_first_named_bundle_is_trusted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(CERTIFICATE.read_text())
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    for given, bundle in (
        ({"CA_BUNDLE": a, "SSL_CERT_FILE": b}, a),
        ({"SSL_CERT_FILE": b}, b),
        ({"CA_BUNDLE": ""}, None),
    ):
        assert network_of(load_settings({**KEY, **given})).ca_bundle == bundle


def test_order_events_url_is_kept_unchanged() -> None:
    url = "https://shop.example:8443/events/?token=a/"
    given = {**KEY, "ORDER_EVENTS_URL": url, "ORDER_EVENTS_SECRET": "s"}
    assert load_settings(given).order_events_url == url


def test_error_names_all_invalid_settings() -> None:
    line = error_of({"PORT": "x", "LOG_LEVEL": "x", "KEY_STORE_URL": "x"})
    assert "\n" not in line
    for name in ("STRIPE_SECRET_KEY", "PORT", "LOG_LEVEL", "KEY_STORE_URL"):
        assert f"{name}" in line


@pytest.mark.parametrize("nothing", [{}, {"STRIPE_SECRET_KEY": ""}, {"STRIPE_SECRET_KEY": "  "}])
def test_missing_key_error_says_how_to_set_it(nothing: dict[str, str]) -> None:
    line = error_of(nothing)
    assert line.startswith("Settings: STRIPE_SECRET_KEY is not set: ")
    assert "make run" in line


def test_test_and_live_keys_cannot_be_mixed() -> None:
    line = error_of({**KEY, "STRIPE_PUBLISHABLE_KEY": "pk_live_abc"})
    assert "both be test or both be live" in line


def test_live_key_requires_https() -> None:
    live = {"STRIPE_SECRET_KEY": "rk_live_abc"}
    assert "https://" in error_of({**live, "STRIPE_API_BASE": "http://127.0.0.1:12111"})
    assert load_settings({**live, "STRIPE_API_BASE": "https://x.example/"}).livemode
    assert not load_settings({**KEY, "STRIPE_API_BASE": "http://127.0.0.1:12111"}).livemode


def test_secrets_are_not_shown() -> None:
    settings = load_settings(
        {
            "STRIPE_SECRET_KEY": "sk_test_hunter2",
            "STRIPE_WEBHOOK_SECRET": "whsec_hunter2",
            "KEY_STORE_URL": "redis://:hunter2@host",
        }
    )
    assert "hunter2" not in f"{settings!r} {settings} {asdict(settings)}"


def test_empty_value_counts_as_unset() -> None:
    assert load_settings({**KEY, "PORT": "", "LOG_LEVEL": " "}) == load_settings(KEY)


def test_spaces_in_the_list_of_gateways_have_no_meaning() -> None:
    settings = load_settings({**KEY, "GATEWAYS": "stripe , PayPal"})
    assert settings.listed_gateways == ["stripe", "paypal"]
    assert settings.several_gateways
    assert not load_settings(KEY).several_gateways


@pytest.mark.parametrize(
    ("store", "named", "waits"),
    [
        ("memory://", "", False),
        ("postgresql://u@h/d", "", False),
        ("redis://h", "", True),
        ("rediss+cluster://h", "", True),
        ("redis+sentinel://h/mymaster", "", True),
        ("redis://h", "at_once", False),
        ("postgresql://u@h/d", "after_stripe", True),
    ],
)
def test_capture_waits_for_stripe_with_a_store_that_may_forget(
    store: str, named: str, waits: bool
) -> None:
    given = {**KEY, "KEY_STORE_URL": store, "FAILOVER_CAPTURE": named}
    assert load_settings(given).capture_waits is waits


def test_lock_outlasts_the_request_budget() -> None:
    settings = load_settings({**KEY, "REQUEST_BUDGET_SECONDS": "120"})
    assert settings.lock_seconds > settings.request_budget_seconds


def test_environment_overrides_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "STRIPE_SECRET_KEY=sk_test_file\nPORT=1234\nKEY_STORE_URL='redis://:p${PORT}@host'\n"
    (tmp_path / ".env").write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in ("STRIPE_SECRET_KEY", "KEY_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", "4321")
    settings = load_settings()
    assert settings.stripe_secret_key.get_secret_value() == "sk_test_file"
    assert settings.key_store_url.get_secret_value() == "redis://:p${PORT}@host"
    assert settings.port == 4321


def test_unreadable_dotenv_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"STRIPE_SECRET_KEY=sk_test_\xff\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        load_settings()


@pytest.mark.parametrize("line", ["PORT 4243 hunter2", "PORT='hunter2", "=hunter2"])
def test_invalid_dotenv_line_is_an_error(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(f"STRIPE_SECRET_KEY=sk_test_abc\n# why\n\n{line}\nHOST=::1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == ("Settings: .env: line 4 cannot be read: it must be NAME=value")


def test_example_lists_every_setting_with_its_default() -> None:
    example = {name: text or "" for name, text in dotenv_values(ROOT / ".env.example").items()}
    assert set(example) == {name.upper() for name in names_of(Settings)}
    assert not example["STRIPE_SECRET_KEY"]
    assert load_settings({**example, **KEY}) == load_settings(KEY)
    for each in fields(Settings):
        if each.default is not None and each.default is not NODEFAULT:
            assert example[each.name.upper()], f"{each.name}: its default is not in the example"


def test_example_explains_every_setting() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith("#") and not line.startswith("PORT="):
            assert lines[number - 1].startswith("# "), line


@pytest.mark.parametrize("platform", PLATFORMS)
def test_platform_that_sets_port_gets_every_interface(platform: str) -> None:
    given = {**KEY, platform: "x"}
    assert load_settings({**given, "PORT": "8080"}).host == "0.0.0.0"
    assert load_settings({**given, "PORT": "8080", "HOST": "127.0.0.1"}).host == "127.0.0.1"
    assert load_settings({**given, "PORT": " "}).host == "127.0.0.1"


def test_port_alone_stays_on_this_machine() -> None:
    assert load_settings({**KEY, "PORT": "8080"}).host == "127.0.0.1"
    assert load_settings({**KEY, "PORT": "8080", PLATFORMS[0]: ""}).host == "127.0.0.1"
