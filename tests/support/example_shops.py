"""The shops of examples/ as processes, each with its service and the sandbox behind it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sandbox_process import ROOT, WEBHOOK_SECRET, SandboxProcess
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shop import SECRETS, clients_file, entry

EVENTS_SECRET = "whsec_ofTheExample"

EXAMPLES = ROOT / "examples"

SHOPS = ("flask", "node")

START_SECONDS = 20.0


@dataclass(frozen=True)
class ExampleShop:
    """A running shop and the service that it uses."""

    url: str
    service: ServiceProcess


@contextmanager
def running(kind: str, sandbox: SandboxProcess, directory: Path) -> Iterator[ExampleShop]:
    """Run one of SHOPS; skip the test if it is Node's and Node is not installed."""
    port = free_port()
    command = _command(kind, port)
    url = f"http://127.0.0.1:{port}"
    more = (
        f'origins = ["{url}"]',
        f'order_events_url = "{url}/order-events"',
        f'order_events_secret = "{EVENTS_SECRET}"',
    )
    clients = clients_file(directory, entry("shop-a", *more))
    with ServiceProcess(sandbox.url, {"CLIENTS_FILE": str(clients)}) as service:
        sandbox.webhooks(url=f"{service.url}/webhook", secret=WEBHOOK_SECRET)
        environ = {
            **os.environ,
            "TOKEN_SECRET": SECRETS["shop-a"],
            "ORDER_EVENTS_SECRET": EVENTS_SECRET,
            "SERVICE_URL": service.url,
            "STRIPE_JS": f"{sandbox.url}/v3/",
            "PORT": str(port),
        }
        log = (directory / "shop.log").open("wb")
        with log, subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log) as shop:
            try:
                _wait_for(port, shop)
                yield ExampleShop(url, service)
            finally:
                shop.terminate()


def _command(kind: str, port: int) -> Sequence[str]:
    if kind == "flask":
        app = str(EXAMPLES / "flask_shop" / "app.py")
        return [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)]
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    return [node, str(EXAMPLES / "node_shop" / "server.mjs")]


def _wait_for(port: int, shop: subprocess.Popen[bytes]) -> None:
    patience = time.monotonic() + START_SECONDS
    while time.monotonic() < patience and shop.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the shop did not start")
