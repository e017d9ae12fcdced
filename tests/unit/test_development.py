"""Commands find the service that `make run` started, and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from payment_service.settings import SettingsError
from payment_service.settings.development import environment_of_command, published

SANDBOX = {
    "PORT": "4242",
    "STRIPE_SECRET_KEY": "sk_test_sandbox",
    "STRIPE_API_BASE": "http://127.0.0.1:12111",
    "KEY_STORE_URL": "memory:///dev/shm/x/orders.db",
}

REAL = {"PORT": "4242", "STRIPE_SECRET_KEY": "sk_test_hunter2", "KEY_STORE_URL": "sqlite:///a.db"}
SECRETS = ["STRIPE_SECRET_KEY", "ORDER_EVENTS_SECRET"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runtime directory, and a working directory without .env."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in {*SANDBOX, *SECRETS}:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def seen() -> dict[str, str]:
    found = environment_of_command()
    return {name: found[name] for name in SANDBOX if name in found}


def test_command_gets_the_settings_of_the_running_service() -> None:
    with published(SANDBOX, []):
        assert seen() == SANDBOX
    assert seen() == {}


def test_file_of_a_killed_service_is_stale(place: Path) -> None:
    """The kernel drops the lock; the file stays."""
    with published(SANDBOX, []):
        (file,) = place.rglob("*.json")
        left = file.read_text()
    file.write_text(left)
    assert seen() == {}


def test_two_services_are_told_apart_by_their_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {**SANDBOX, "PORT": "4243", "KEY_STORE_URL": "sqlite:///b.db"}
    with published(SANDBOX, []), published(other, []):
        with pytest.raises(SettingsError, match=r"serves on ports 4242, 4243: set PORT to one"):
            environment_of_command()
        for each in (SANDBOX, other):
            monkeypatch.setenv("PORT", each["PORT"])
            assert seen() == each
        monkeypatch.setenv("PORT", "4244")
        assert seen() == {"PORT": "4244"}


def test_port_of_dotenv_does_not_hide_the_running_service(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flask command copies .env into the environment."""
    (place / ".env").write_text("PORT=9999\nSTRIPE_SECRET_KEY=\n")
    monkeypatch.setenv("PORT", "9999")
    monkeypatch.setenv("STRIPE_SECRET_KEY", "")
    with published(SANDBOX, []):
        assert seen() == SANDBOX


@pytest.mark.parametrize(
    ("name", "text"),
    [("STRIPE_SECRET_KEY", "sk_live_other"), ("KEY_STORE_URL", "postgresql://u@h/d")],
)
def test_command_for_another_service_gets_nothing(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    with published(SANDBOX, []), published({**REAL, "PORT": "4243"}, SECRETS):
        assert seen() == {name: text}


def test_other_settings_of_the_command_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    with published({**SANDBOX, "LOG_LEVEL": "ERROR"}, []):
        assert seen() == SANDBOX
        assert environment_of_command()["LOG_LEVEL"] == "DEBUG"


def test_secret_is_not_written(place: Path) -> None:
    with published({**REAL, "ORDER_EVENTS_SECRET": "hunter2"}, SECRETS):
        (file,) = place.rglob("*.json")
        assert "hunter2" not in file.read_text()
        assert file.stat().st_mode & 0o077 == 0


def test_secret_must_be_the_same_here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with published(REAL, SECRETS):
        with pytest.raises(SettingsError, match="STRIPE_SECRET_KEY must be the same as for `make"):
            environment_of_command()
        (place / ".env").write_text("STRIPE_SECRET_KEY=sk_test_other\n")
        with pytest.raises(SettingsError, match="on port 4242: set it here, too"):
            environment_of_command()
        (place / ".env").write_text("STRIPE_SECRET_KEY=sk_test_hunter2\n")
        assert seen() == REAL
        (place / ".env").unlink()
        monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_hunter2")
        assert seen() == REAL


def test_service_of_another_checkout_is_ignored(place: Path) -> None:
    with published(SANDBOX, []):
        (file,) = place.rglob("*.json")
        file.write_text(json.dumps({**json.loads(file.read_text()), "code": "/elsewhere"}))
        assert seen() == {}


def test_directory_that_others_can_write_to_is_not_read(place: Path) -> None:
    """A file there would decide where a command sends the Stripe key."""
    with published(SANDBOX, []):
        (directory,) = place.glob("payment-service-*")
        directory.chmod(0o777)
        assert seen() == {}
        directory.chmod(0o700)


def test_link_in_place_of_the_directory_is_not_followed(place: Path) -> None:
    (place / "other").mkdir(mode=0o700)
    with published(SANDBOX, []):
        (directory,) = place.glob("payment-service-*")
    directory.rmdir()
    directory.symlink_to(place / "other")
    with pytest.raises(OSError), published(SANDBOX, []):
        pass
    assert seen() == {}


@pytest.mark.parametrize("text", ["", "{", json.dumps({"code": 1})])
def test_unreadable_file_is_ignored(text: str, place: Path) -> None:
    with published(SANDBOX, []):
        (file,) = place.rglob("*.json")
        file.write_text(text)
        assert seen() == {}
