"""Try new settings in a process of their own before `kill -HUP` replaces running workers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

# A start takes a quarter of a second, and some seconds more if the store does not answer.
CHECK_SECONDS = 20.0

EDITED = "What was tried has been edited since; the line before this says why."


class NotReplacedError(Exception):
    """The trial start succeeded, but the reload failed. The message is the reason."""


def check_before_reload(master: Any) -> None:
    """Make the master replace its workers only after a trial start succeeded.

    gunicorn's master ends if it cannot read its settings or if a new worker cannot boot.
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
    """Return a function that re-reads the settings and raises NotReplacedError on failure.

    It wraps no more than that: the rest of a reload forks workers, which end with SystemExit.
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
    """Try new addresses: gunicorn closes the old ones first, and ends if a bind fails."""
    for address in new:
        if isinstance(address, tuple):
            try_address(*address)


def try_address(host: str, port: int) -> None:
    """Raise OSError if gunicorn could not listen. It resolves names to IPv4; port 0 is any port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen()


def _complaint(cfg: Any) -> str | None:
    """Run gunicorn's configuration check as a trial start; return the reason if it fails."""
    command = [sys.executable, "-m", "gunicorn", "--check-config", *sys.argv[1:]]
    try:
        tried = subprocess.run(  # noqa: S603 - our own command line
            command,
            # The master's original environment, without the variables that it set for its workers.
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
