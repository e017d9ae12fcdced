"""The command that starts the production server: serve."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from payment_service.access.live_mode import refuse_unsafe
from payment_service.settings import SettingsError, environ_for_gunicorn, load_settings

# gunicorn reads this file from the working directory by default.
OWN_CONF = Path("gunicorn.conf.py")

# gunicorn takes a file rather than a module, so that `kill -HUP` runs it again.
PACKAGED_CONF = Path(__file__).resolve().parent.parent / "server" / "gunicorn_conf.py"


@click.command("serve")
def serve() -> None:
    """Start the production server (gunicorn).

    A gunicorn.conf.py in the working directory replaces the server's settings. gunicorn's options
    go into GUNICORN_CMD_ARGS.
    """
    become_server()


def become_server() -> None:
    """Replace this process with gunicorn, or exit with one line that names the invalid settings."""
    try:
        refuse_unsafe(load_settings())
    except SettingsError as wrong:
        sys.exit(str(wrong))
    os.execve(sys.executable, server_command(), environ_for_gunicorn())  # noqa: S606


def server_command() -> list[str]:
    """Return gunicorn's command line, with the packaged settings unless the user has a file."""
    conf = [] if OWN_CONF.exists() else ["--config", str(PACKAGED_CONF)]
    return [sys.executable, "-m", "gunicorn", *conf, "stripe_back_end_api:app"]
