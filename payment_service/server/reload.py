"""`kill -HUP` of the gunicorn master, tried first: what could not start must not end what runs."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

# A start takes a quarter of a second; a store that does not answer, some seconds more.
CHECK_SECONDS = 20.0

EDITED = "What was tried has been edited since; the line before this says why."


class NotReplacedError(Exception):
    """The message is why what was tried a moment ago is no service after all."""


def check_before_reload(master: Any) -> None:
    """Let the master replace its workers only by what starts in a process of its own.

    gunicorn's master ends where it cannot read its settings, and where a new worker cannot boot.
    """
    reload, master.app.reload = master.handle_hup, _raising(master.app)

    def handle_hup() -> None:
        complaint = _complaint(master.cfg)
        try:
            if complaint is None:
                reload()
        except NotReplacedError as late:
            complaint = str(late)
        if complaint is not None:
            master.log.error("Nothing was replaced. %s", complaint)

    master.handle_hup = handle_hup


def _raising(app: Any) -> Callable[[], None]:
    """Return what reads the settings anew; it raises NotReplacedError and does not end the master.

    Only around this: new workers, which end by SystemExit, begin within the rest of a reload.
    """
    read = app.reload

    def read_anew() -> None:
        kept = app.cfg
        try:
            read()
            _try_addresses(set(app.cfg.address) - set(kept.address))
        except SystemExit as wrong:
            app.cfg = kept
            raise NotReplacedError(EDITED) from wrong
        except OSError as wrong:
            app.cfg = kept
            named = f"HOST, PORT: cannot be listened on: {wrong.strerror}"
            raise NotReplacedError(named) from wrong

    return read_anew


def _try_addresses(new: set[Any]) -> None:
    """gunicorn would hang up the old ones first, and end where it cannot have a new one."""
    for address in new:
        if isinstance(address, tuple):
            try_address(*address)


def try_address(host: str, port: int) -> None:
    """Raise OSError where gunicorn could not listen: a name is IPv4 to it. Port 0 is any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen()


def _complaint(cfg: Any) -> str | None:
    """Start as far as gunicorn does to check; return why that is no service."""
    command = [sys.executable, "-m", "gunicorn", "--check-config", *sys.argv[1:]]
    try:
        tried = subprocess.run(  # noqa: S603 - our own command line
            command,
            # What the master was started with, without what it set for its workers.
            env=cfg.env_orig,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"A trial start did not finish within {CHECK_SECONDS:.0f} s."
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines()
    return said[-1] if said else f"A trial start ended with {tried.returncode}."
