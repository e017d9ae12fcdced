"""What `make run` starts: the service and, where no Stripe key is set, the sandbox beside it."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from payment_service.settings import Settings, SettingsError, environment, load_settings
from sandbox.authentication import PUBLISHABLE_KEY, SECRET_KEY
from sandbox.command_line import DEFAULT_PORT, WEBHOOK_SECRET

ROOT = Path(__file__).resolve().parent.parent

SERVICE = [sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"]

# The longest wait for a started process to answer, on a slow machine.
START_SECONDS = 30.0

# A browser cannot connect to an address that means every interface.
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class CannotStartError(Exception):
    """A process cannot start. The message is one line for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the processes and wait until one ends or a signal arrives; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.run", description=__doc__)
    parser.add_argument("--sandbox-port", type=int, default=DEFAULT_PORT)
    port: int = parser.parse_args(arguments).sandbox_port
    os.chdir(ROOT)
    try:
        # gunicorn would parse an empty WEB_CONCURRENCY, as .env.example has it, as a number.
        environ = {name: text for name, text in environment().items() if text.strip()}
        if environ.get("STRIPE_SECRET_KEY", "").strip():
            load_settings(environ)
            os.execve(sys.executable, SERVICE, environ)  # noqa: S606
        return _run_with_sandbox({**_demo_settings(), **environ, **_sandbox_settings(port)}, port)
    except (SettingsError, CannotStartError) as wrong:
        print(wrong, file=sys.stderr)
        return 1


def _sandbox_settings(port: int) -> dict[str, str]:
    return {
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
    }


def _demo_settings() -> dict[str, str]:
    # One worker: the demo kills it, and its in-memory locks end with it.
    return {
        "WEB_CONCURRENCY": "1",
        "DEMO_STAGE_URL": f"http://127.0.0.1:{_free_port()}",
        "DEMO_API_KEY": f"api_{secrets.token_hex(16)}",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run_with_sandbox(environ: Mapping[str, str], port: int) -> int:
    settings = load_settings(environ)
    address = _address(settings)
    family = Family()
    try:
        if not _joined_sandbox(port, f"{address}/webhook"):
            family.start(_sandbox_command(port, f"{address}/webhook"), environ, quiet=True)
            family.wait_for(f"http://127.0.0.1:{port}/_sandbox/rules")
        service = family.start(SERVICE, environ)
        family.start(_tutorial_command(settings, service), environ, quiet=True)
        for each in (address, settings.demo_stage_url):
            family.wait_for(f"{each}/healthz")
        if not family.told_to_end:
            print(_greeting(address, port, settings), flush=True)
        return family.stay()
    finally:
        family.end()


def _address(settings: Settings) -> str:
    host = ANY_HOST.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{host}:{settings.port}"


def _sandbox_command(port: int, webhook: str) -> list[str]:
    return [sys.executable, "-m", "sandbox", "--port", str(port), "--webhook-url", webhook]


def _tutorial_command(settings: Settings, service: int) -> list[str]:
    return [
        *(sys.executable, "-m", "sandbox.tutorial"),
        *("--port", str(urlsplit(settings.demo_stage_url or "").port)),
        *("--sandbox-url", settings.stripe_api_base or ""),
        *("--page-port", str(settings.port)),
        *("--service-pid", str(service)),
    ]


def _greeting(address: str, port: int, settings: Settings) -> str:
    body = json.dumps({"amount": 1099, "currency": "usd", "order_id": "A-1"})
    proof = clients = ""
    if settings.clients_file and settings.demo_api_key:
        proof = f"-H 'Authorization: Bearer {settings.demo_api_key.get_secret_value()}' "
        clients = (
            "\nCLIENTS_FILE is set, so each request needs an order token or an API key: see "
            "docs/clients.md. The page and the line below use the sandbox's own client."
        )
    return (
        f"No STRIPE_SECRET_KEY is set: the sandbox on http://127.0.0.1:{port} plays Stripe, and no "
        f"money moves.{clients}\nOpen {address} in a browser, or paste this:\n"
        f"curl -i {address}/create-payment-intent {proof}"
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _joined_sandbox(port: int, webhook: str) -> bool:
    """Use a sandbox that already runs on this port; return False if the port is free.

    Raises CannotStartError if another program uses the port.
    """
    url = f"http://127.0.0.1:{port}/_sandbox/webhooks"
    try:
        _ask(url, {"url": webhook, "secret": WEBHOOK_SECRET})
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError):
        raise CannotStartError(
            f"Port {port} is taken by something that is not the sandbox: "
            "stop it, or set STRIPE_SECRET_KEY."
        ) from None
    return True


def _ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        # Ignore the environment's HTTP proxies: the request stays on this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=2
        ) as answer:
            return json.load(answer)
    except urllib.error.URLError as failed:
        raise failed.reason if isinstance(failed.reason, OSError) else failed from None


class Family:
    """Processes that end together: when one of them ends, on Ctrl-C, or on SIGTERM or SIGHUP."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []
        self._told = threading.Event()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, lambda *_: self._told.set())

    @property
    def told_to_end(self) -> bool:
        """Whether a signal arrived."""
        return self._told.is_set()

    def start(self, command: Sequence[str], environ: Mapping[str, str], quiet: bool = False) -> int:
        """Start a process and return its ID.

        It runs in a session of its own: Ctrl-C reaches only this process, which then ends all.
        """
        out = subprocess.DEVNULL if quiet else None
        child = subprocess.Popen(command, env=environ, stdout=out, start_new_session=True)  # noqa: S603
        self._children.append(child)
        return child.pid

    def wait_for(self, url: str) -> None:
        """Wait until `url` answers, a process has ended, or a signal arrived."""
        patience = time.monotonic() + START_SECONDS
        while not self._over() and time.monotonic() < patience:
            try:
                _ask(url)
            except (OSError, ValueError):
                self._told.wait(0.02)
            else:
                return

    def stay(self) -> int:
        """Wait for the end; return 0 after a signal, else the ended process's exit code."""
        while not self._over():
            self._told.wait(0.2)
        ended = [child.returncode for child in self._children if child.returncode is not None]
        return 0 if self.told_to_end or not ended else ended[0] or 1

    def end(self) -> None:
        """End all processes, the last one first: the service may still need the sandbox."""
        for child in reversed(self._children):
            child.terminate()
            child.wait()

    def _over(self) -> bool:
        return self.told_to_end or any(child.poll() is not None for child in self._children)


if __name__ == "__main__":
    sys.exit(main())
