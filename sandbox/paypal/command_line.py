"""`python -m sandbox.paypal`: parse the options, listen, print a greeting, serve until stopped."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

from sandbox.clock import MovableClock
from sandbox.command_line import TICK_SECONDS, parse_port
from sandbox.http_server import SandboxServer
from sandbox.paypal.control import PayPalControl
from sandbox.paypal.core import PayPalSandbox
from sandbox.paypal.events import signer
from sandbox.webhooks import WebhookSender

DEFAULT_PORT = 12112
WEBHOOK_ID = "1JE4291016473214C"


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return 1 if the port is in use."""
    options = _options(arguments)
    clock = MovableClock()
    sandbox = PayPalSandbox(clock, seed=options.seed)
    try:
        server = SandboxServer((options.host, options.port), sandbox)
    except OSError as taken:
        print(f"PayPal sandbox: cannot listen on {options.host}:{options.port}: {taken.strerror}.",
              file=sys.stderr)  # fmt: skip
        return 1
    sandbox.rules = replace(sandbox.rules, base_url=server.url)
    webhooks = WebhookSender(
        options.webhook_url,
        options.webhook_id,
        headers_of=signer(lambda: server.url),
        kind="event_type",
    )
    sandbox.on_event = webhooks.take
    server.control = PayPalControl(sandbox, clock, webhooks)
    server.latency_seconds = options.latency_seconds
    _serve(server, sandbox, webhooks)
    return 0


def _serve(server: SandboxServer, sandbox: PayPalSandbox, webhooks: WebhookSender) -> None:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    webhooks.start()
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    print(
        "PayPal sandbox: this is not PayPal and no money moves.\n"
        f"PayPal sandbox: {server.url} with any client id and secret",
        flush=True,
    )
    while not stop.wait(TICK_SECONDS):
        sandbox.settle()
    server.close()
    webhooks.close()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.paypal",
        description="PayPal's Orders v2 on this machine; no money moves.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=parse_port, default=DEFAULT_PORT, help="0 chooses a free port")
    add("--webhook-url", help="address that receives the events")
    add("--webhook-id", default=WEBHOOK_ID, help="PayPal's id of that address, which is signed")
    add("--latency-seconds", type=float, default=0, help="duration of each execution")
    add("--seed", type=int, help="makes the ids reproducible")
    return parser.parse_args(arguments)
