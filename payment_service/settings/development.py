"""How commands in another terminal find the service that `make run` started.

`make run` keeps one small file per service in a directory of the user's. It holds a lock on the
file, which ends with the process, so a file without a lock is stale. The file has no secret but the
sandbox's public ones: of others it has a salted hash, so that a command is never run with another
account's key or on another store.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, convert

from payment_service.settings.environment import (
    SettingsError,
    environment,
    only_in_environment,
)

# The checkout, or the directory of the installed package: `make run` of another checkout is none of
# our business.
CODE = str(Path(__file__).resolve().parents[2])

# Variables that decide whose orders a command works on. If they are given to the command and differ
# from the service's, the command is meant for something else.
IDENTITY = ("STRIPE_SECRET_KEY", "KEY_STORE_URL", "PORT")


class Running(Struct, frozen=True):
    """A development service: its settings, and hashes of those that are secret."""

    code: str
    port: str
    settings: dict[str, str]
    salt: str
    hashes: dict[str, str]

    def has(self, name: str, text: str) -> bool:
        """Whether the service runs with this value of a setting."""
        if name in self.hashes:
            return self.hashes[name] == _hash(self.salt, text)
        return self.settings.get(name) == text


@contextmanager
def published(settings: Mapping[str, str], hidden: Sequence[str]) -> Iterator[None]:
    """Let commands find a service with these settings, as long as the block runs.

    Of the settings in `hidden`, only hashes are written. Raises OSError if there is no directory
    that only this user can write to.
    """
    salt = secrets.token_hex(16)
    running = {
        "code": CODE,
        "port": settings["PORT"],
        "settings": {name: text for name, text in settings.items() if name not in hidden},
        "salt": salt,
        "hashes": {name: _hash(salt, settings[name]) for name in hidden if name in settings},
    }
    directory = _directory()
    path, made = directory / f"{settings['PORT']}.json", directory / f".{os.getpid()}"
    file = os.open(made, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, json.dumps(running).encode())
        # Visible only now: complete, and locked.
        made.rename(path)
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(file)


def environment_of_command() -> dict[str, str]:
    """Return the environment, with the settings of the running development service.

    Variables that the command is given itself take precedence. Raises SettingsError if several
    services run, or if a secret that the service has is missing here.
    """
    given, explicit = environment(), only_in_environment()
    meant = [each for each in _all_running() if _fits(each, explicit)]
    if not meant:
        return given
    if len(meant) > 1:
        ports = ", ".join(sorted(each.port for each in meant))
        raise SettingsError(f"Settings: `make run` serves on ports {ports}: set PORT to one")
    (running,) = meant
    for name in running.hashes:
        if not running.has(name, given.get(name, "").strip()):
            raise SettingsError(
                f"Settings: {name} must be the same as for `make run` on port {running.port}: "
                "set it here, too"
            )
    return {**given, **running.settings, **explicit}


def _fits(running: Running, explicit: Mapping[str, str]) -> bool:
    return running.code == CODE and all(
        running.has(name, explicit[name].strip()) for name in IDENTITY if name in explicit
    )


def _all_running() -> list[Running]:
    try:
        paths = sorted(_directory().glob("*.json"))
    except OSError:
        return []
    return [running for path in paths if (running := _read(path)) is not None]


def _read(path: Path) -> Running | None:
    """Return the service that a file describes; None if the service has ended."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found: Any = json.load(file)
                return convert(found, Running)
    except (OSError, ValueError):
        pass
    return None


def _directory() -> Path:
    """Return the user's directory for this; raises OSError if another user could write to it.

    A file there decides to which address a command sends the Stripe key.
    """
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    directory = Path(base) / f"payment-service-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    seen = directory.lstat()
    if seen.st_uid != os.getuid() or seen.st_mode & 0o077 or directory.is_symlink():
        raise PermissionError(f"{directory} is not private")
    return directory


def _hash(salt: str, text: str) -> str:
    # Slow, because a store's password may be easy to guess.
    return hashlib.scrypt(text.encode(), salt=salt.encode(), n=2**12, r=8, p=1).hex()
