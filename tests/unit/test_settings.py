"""Settings: one line names each invalid setting and its rule, and never shows the value."""

from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values
from msgspec import NODEFAULT
from msgspec.structs import asdict, fields

from payment_service.schema.fields import names_of
from payment_service.settings import Settings, SettingsError, load_settings

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
    ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2,,x", "separated by commas"),
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
