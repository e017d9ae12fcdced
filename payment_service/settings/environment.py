"""Reads the process's environment and `.env`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

# Variables by which a platform shows that it runs the process. Each of these platforms sets PORT,
# and routes requests to that port on the container's own address, never to 127.0.0.1.
PLATFORMS = (
    "DYNO",  # Heroku, Dokku
    "K_SERVICE",  # Google Cloud Run
    "GAE_SERVICE",  # Google App Engine
    "RENDER",
    "RAILWAY_PROJECT_ID",
    "WEBSITE_SITE_NAME",  # Azure App Service
    "VCAP_APPLICATION",  # Cloud Foundry
)


class SettingsError(Exception):
    """The settings are invalid; the message is one line for a person."""


def environment() -> dict[str, str]:
    """Return the variables of `.env`, overridden by the environment. Raises SettingsError."""
    return {**dotenv(), **os.environ}


def dotenv() -> dict[str, str]:
    """Return the variables of `.env` in the working directory. Raises SettingsError."""
    found: dict[str, str] = {}
    # No interpolation: a password may contain ${.
    for line in parse_stream(StringIO(_text_of_dotenv())):
        if line.error:
            raise SettingsError(
                f"Settings: .env: line {_number_of(line)} cannot be read: it must be NAME=value"
            )
        if line.key is not None and line.value is not None:
            found[line.key] = line.value
    return found


def only_in_environment() -> dict[str, str]:
    """Return the variables that are set, not blank, and not the same in `.env`.

    The flask command copies `.env` into the environment before it runs a command.
    """
    beneath = dotenv()
    return {
        name: text
        for name, text in os.environ.items()
        if text.strip() and text != beneath.get(name)
    }


def is_on_platform(given: Mapping[str, str]) -> bool:
    """Whether a platform runs the process that routes requests to the PORT it has chosen."""
    return bool(given.get("PORT", "").strip()) and any(given.get(name) for name in PLATFORMS)


def _number_of(line: Binding) -> int:
    """Return the line's number; `original` includes the blank lines before it."""
    given = line.original.string
    return line.original.line + given.count("\n") - given.lstrip().count("\n")


def _text_of_dotenv() -> str:
    """Read `.env` once, because it may be a pipe; return "" if it does not exist."""
    path = Path.cwd() / ".env"
    try:
        return path.read_text("utf-8") if path.exists() and not path.is_dir() else ""
    except (OSError, UnicodeDecodeError) as wrong:
        raise SettingsError("Settings: .env cannot be read: it must be UTF-8 text") from wrong
