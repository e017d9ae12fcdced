"""Implements `make run`: starts the service and, if no Stripe key is set, both sandboxes."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from dev.family import AnsweredError, CannotStartError, Family, ask
from payment_service.access.live_mode import refuse_unsafe
from payment_service.access.second_gateway import refuse_second_gateway
from payment_service.key_store.shared_directory import shared_directory
from payment_service.schema.fields import names_of
from payment_service.settings import Settings, SettingsError, environment, load_settings
from payment_service.settings.development import published
from payment_service.settings.environment import only_in_environment
from payment_service.wiring import clients_of
from sandbox.authentication import PUBLISHABLE_KEY, SECRET_KEY
from sandbox.command_line import DEFAULT_PORT, WEBHOOK_SECRET
from sandbox.paypal.command_line import WEBHOOK_ID

ROOT = Path(__file__).resolve().parent.parent

SERVICE = [sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"]

# A browser cannot connect to an address that means every interface.
ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}

_CLIENTS = (
    "\nCLIENTS_FILE is set, so each request needs an order token or an API key: see "
    "docs/clients.md. The page and the line below use the sandbox's own client."
)

# Settings that commands of another terminal do not get: a command needs no webhook secret, and
# must not open the metrics port.
NOT_FOR_COMMANDS = (
    "STRIPE_WEBHOOK_SECRET",
    "DEMO_API_KEY",
    "METRICS_PORT",
    "PROMETHEUS_MULTIPROC_DIR",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the processes and wait until one ends or a signal arrives; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.run", description=__doc__)
    parser.add_argument("--sandbox-port", type=int, default=DEFAULT_PORT)
    port: int = parser.parse_args(arguments).sandbox_port
    os.chdir(ROOT)
    try:
        # gunicorn would parse an empty WEB_CONCURRENCY, as .env.example has it, as a number.
        given = {name: text for name, text in environment().items() if text.strip()}
        # Only this machine, wherever it runs: access is open unless there is a clients file.
        given.setdefault("HOST", "127.0.0.1")
        if "STRIPE_SECRET_KEY" in given:
            _run(given, sandbox_port=None)
        else:
            ours = {**given, **_unless_edited(given), **_sandbox_settings(port)}
            _run({**ours, **_paypal_settings(ours)}, sandbox_port=port)
    except (SettingsError, CannotStartError) as wrong:
        print(wrong, file=sys.stderr)
        return 1
    return 0


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
        "GATEWAYS": "stripe,paypal",
        "FAILOVER": "1",
        # The sandbox answers at once, so a short wait shows a failure, and the demo stays quick.
        "FAILOVER_AFTER_SECONDS": "2",
    }


def _unless_edited(given: Mapping[str, str]) -> dict[str, str]:
    """Return the demo's settings, but for those that the environment or an edited `.env` has.

    A line that `cp .env.example .env` left in `.env` does not count as a choice.
    """
    copied, chosen = dotenv_values(ROOT / ".env.example"), only_in_environment()
    return {
        name: text
        for name, text in _demo_settings().items()
        if name not in chosen and given.get(name) in (None, copied.get(name))
    }


def _paypal_settings(given: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of PayPal's stand-in, and the demo's pages to return to."""
    address = _address(load_settings(given))
    return {
        "PAYPAL_CLIENT_ID": "sandbox",
        "PAYPAL_CLIENT_SECRET": "sandbox",
        "PAYPAL_WEBHOOK_ID": WEBHOOK_ID,
        "PAYPAL_API_BASE": f"http://127.0.0.1:{_free_port()}",
        "PAYPAL_RETURN_URL": f"{address}/?paypal=approved&order={{order_id}}",
        "PAYPAL_CANCEL_URL": f"{address}/?paypal=canceled&order={{order_id}}",
        "PAYPAL_BRAND_NAME": "Kestrel Paper",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(environ: dict[str, str], *, sandbox_port: int | None) -> None:
    """Run the service until a signal arrives. Raises SettingsError and CannotStartError."""
    settings = load_settings(environ)
    clients = clients_of(settings)
    refuse_unsafe(settings, clients)
    refuse_second_gateway(settings, clients)
    _refuse_taken_port(settings)
    address = _address(settings)
    # The processes end first: they use what the others remove.
    with (
        _shared_store(settings, environ),
        _found_by_commands(settings, environ),
        Family() as family,
    ):
        if sandbox_port:
            _start_sandbox(family, sandbox_port, f"{address}/webhook", environ)
            if settings.several_gateways:
                _start_paypal(family, settings, f"{address}/webhook/paypal", environ)
        service = family.start("The service", SERVICE, environ)
        if sandbox_port:
            stage = _tutorial_command(settings, service)
            family.start("The tutorial's server", stage, environ, quiet=True)
            family.wait_for("The tutorial's server", f"{settings.demo_stage_url}/healthz")
        # /readyz instead of /healthz: without its key store the service takes no order.
        family.wait_for("The service", f"{address}/readyz")
        if not family.told_to_end:
            print(_greeting(settings, address, sandbox_port), flush=True)
        family.stay()


def _start_sandbox(family: Family, port: int, webhook: str, environ: Mapping[str, str]) -> None:
    if _joined_sandbox(port, webhook):
        return
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--webhook-url", webhook]
    family.start("The sandbox", command, environ, quiet=True)
    family.wait_for("The sandbox", f"http://127.0.0.1:{port}/_sandbox/rules")


def _start_paypal(
    family: Family, settings: Settings, webhook: str, environ: Mapping[str, str]
) -> None:
    base = settings.paypal_api_base or ""
    port = str(urlsplit(base).port)
    command = [sys.executable, "-m", "sandbox.paypal", "--port", port, "--webhook-url", webhook]
    family.start("PayPal's sandbox", command, environ, quiet=True)
    family.wait_for("PayPal's sandbox", f"{base}/_sandbox/rules")


@contextmanager
def _shared_store(settings: Settings, environ: dict[str, str]) -> Iterator[None]:
    """Put memory:// into a file that the commands of another terminal can open, too."""
    if settings.key_store_url.get_secret_value() != "memory://":
        yield
        return
    environ["KEY_STORE_URL"] = f"memory://{shared_directory()}/orders.db"
    try:
        yield
    finally:
        shutil.rmtree(shared_directory(), ignore_errors=True)


@contextmanager
def _found_by_commands(settings: Settings, environ: Mapping[str, str]) -> Iterator[None]:
    ours = [name.upper() for name in names_of(Settings) if name.upper() not in NOT_FOR_COMMANDS]
    known = {name: environ[name] for name in ours if name in environ}
    hidden = ["ORDER_EVENTS_SECRET", *(name for name, value in known.items() if "@" in value)]
    if not settings.sandbox_url:
        hidden += ["STRIPE_SECRET_KEY", "PAYPAL_CLIENT_SECRET"]
    with ExitStack() as stack:
        try:
            stack.enter_context(published({**known, "PORT": str(settings.port)}, hidden))
        except OSError as wrong:
            print(f"Commands of other terminals will not find it: {wrong}", file=sys.stderr)
        yield


def _refuse_taken_port(settings: Settings) -> None:
    """Raise CannotStartError if another program listens where the service would.

    gunicorn would retry for five seconds, and the other program might answer in its place.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as wrong:
            raise CannotStartError(
                f"The service cannot listen on {settings.host}, port {settings.port}: "
                f"{wrong.strerror}. Stop the program that does, or try PORT={settings.port + 1}."
            ) from None


def _address(settings: Settings) -> str:
    host = ANY_HOST.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{host}:{settings.port}"


def _tutorial_command(settings: Settings, service: int) -> list[str]:
    return [
        *(sys.executable, "-m", "sandbox.tutorial"),
        *("--port", str(urlsplit(settings.demo_stage_url or "").port)),
        *("--sandbox-url", settings.stripe_api_base or ""),
        *(("--paypal-url", settings.paypal_api_base) if settings.paypal_api_base else ()),
        *("--page-port", str(settings.port)),
        *("--service-pid", str(service)),
    ]


def _greeting(settings: Settings, address: str, sandbox_port: int | None) -> str:
    if sandbox_port:
        base = settings.paypal_api_base
        paypal = f", {base} plays PayPal" if settings.several_gateways else ""
        first = (
            f"No STRIPE_SECRET_KEY is set: the sandbox on http://127.0.0.1:{sandbox_port} plays "
            f"Stripe{paypal}, and no money moves.{_CLIENTS if settings.clients_file else ''}\n"
            f"Open {address} in a browser, or paste this:"
        )
    else:
        mode = "live" if settings.livemode else "test"
        first = f"The service runs on {address} with your Stripe {mode} key. Try it:"
        if settings.clients_file:
            first += "\n(CLIENTS_FILE is set: API_KEY stands for a client's, see docs/clients.md)"
    needed = ""
    if settings.clients_file:
        key = settings.demo_api_key
        needed = f"-H 'Authorization: Bearer {key.get_secret_value() if key else 'API_KEY'}' "
    body = json.dumps({"amount": 1099, "currency": "usd", "order_id": "A-1"})
    return (
        f"{first}\ncurl -i {address}/create-payment-intent {needed}"
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _joined_sandbox(port: int, webhook: str) -> bool:
    """Use a sandbox that already runs on this port; return False if the port is free.

    Raises CannotStartError if another program uses the port.
    """
    url = f"http://127.0.0.1:{port}/_sandbox/webhooks"
    try:
        ask(url, {"url": webhook, "secret": WEBHOOK_SECRET})
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError, AnsweredError):
        raise CannotStartError(
            f"Port {port} is taken by something that is not the sandbox: "
            "stop it, or set STRIPE_SECRET_KEY."
        ) from None
    return True


if __name__ == "__main__":
    sys.exit(main())
