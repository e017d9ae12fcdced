"""The commands of `payment-service`, and the server command line that `serve` runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from payment_service import __version__
from payment_service.cli.commands import main
from payment_service.cli.serve import PACKAGED_CONF, server_command

COMMANDS = {"serve", "reconcile", "deliver", "orders", "copy-store", "new-client", "new-operator"}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without settings, in a directory without .env, and no `make run`."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("STRIPE_SECRET_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_console_script_offers_every_command() -> None:
    assert set(main.commands) == COMMANDS


@pytest.mark.parametrize("command", ["", *sorted(COMMANDS)])
def test_help_needs_no_settings(command: str) -> None:
    result = CliRunner().invoke(main, [*command.split(), "--help"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")


def test_version_is_the_package_s() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout.endswith(f" {__version__}\n")


@pytest.mark.parametrize("command", [["serve"], ["reconcile"], ["orders", "show", "A-1"]])
def test_missing_settings_are_named_in_one_line(command: list[str]) -> None:
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Settings: STRIPE_SECRET_KEY is not set")


def test_serve_uses_the_packaged_settings_of_gunicorn() -> None:
    assert PACKAGED_CONF.is_file()
    assert str(PACKAGED_CONF) in server_command()


def test_serve_leaves_the_user_s_own_gunicorn_file_to_gunicorn(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").touch()
    assert "--config" not in server_command()
