"""`python -m sandbox`: parse the options, listen, print a greeting, serve until stopped."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from sandbox.authentication import PUBLISHABLE_KEY, SECRET_KEY
from sandbox.clock import MovableClock
from sandbox.control import Control
from sandbox.core import Sandbox
from sandbox.http_server import SandboxServer
from sandbox.moment import Rules
from sandbox.webhooks import WebhookSender

DEFAULT_PORT = 12111
WEBHOOK_SECRET = "whsec_sandbox"  # noqa: S105 - signs deliveries to this machine only

# How often payments settle between requests; each request settles those that are due as well.
TICK_SECONDS = 0.5


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return 1 if the port is in use."""
    options = _options(arguments)
    clock = MovableClock()
    sandbox = Sandbox(clock, seed=options.seed, rate_limit=options.rate_limit)
    webhooks = WebhookSender(options.webhook_url, options.webhook_secret)
    sandbox.on_event = webhooks.take
    try:
        server = SandboxServer((options.host, options.port), sandbox)
    except OSError as taken:
        print(f"Sandbox: cannot listen on {options.host}:{options.port}: {taken.strerror}.",
              file=sys.stderr)  # fmt: skip
        return 1
    sandbox.rules = _rules(options, server.url)
    server.control = Control(sandbox, clock, webhooks)
    server.latency_seconds = options.latency_seconds
    _serve(server, sandbox, webhooks, options)
    return 0


def _serve(
    server: SandboxServer, sandbox: Sandbox, webhooks: WebhookSender, options: argparse.Namespace
) -> None:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    webhooks.start()
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    print(_greeting(server.url, options), flush=True)
    while not stop.wait(TICK_SECONDS):
        sandbox.settle()
    server.close()
    webhooks.close()


def _greeting(url: str, options: argparse.Namespace) -> str:
    webhook = f", webhooks to {options.webhook_url}" if options.webhook_url else ""
    return (
        "Sandbox: this is not Stripe and no money moves.\n"
        f"Sandbox: {url} with the keys {SECRET_KEY} and {PUBLISHABLE_KEY}{webhook}"
    )


def _rules(options: argparse.Namespace, url: str) -> Rules:
    return Rules(
        settle_seconds=options.settle_seconds,
        authorization_seconds=options.authorization_seconds,
        search_lag_seconds=options.search_lag_seconds,
        api_version=options.api_version,
        base_url=url,
    )


def parse_port(text: str) -> int:
    """Parse a port. Raises ArgumentTypeError."""
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    rules = Rules()
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Stripe's payments, refunds and disputes on this machine; no money moves.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=parse_port, default=DEFAULT_PORT, help="0 chooses a free port")
    add("--webhook-url", help="address that receives the Events")
    add("--webhook-secret", default=WEBHOOK_SECRET, help="secret that signs the Events")
    add("--rate-limit", type=float, default=0, help="requests per second and account; 0: no limit")
    add("--latency-seconds", type=float, default=0, help="duration of each execution")
    add(
        "--settle-seconds",
        type=float,
        default=rules.settle_seconds,
        help="until ACH and PAD debits settle",
    )
    add(
        "--authorization-seconds",
        type=float,
        default=rules.authorization_seconds,
        help="until an authorization that is not captured lapses",
    )
    add("--search-lag-seconds", type=float, default=rules.search_lag_seconds)
    add("--api-version", default=rules.api_version, help="for requests without a Stripe-Version")
    add("--seed", type=int, help="makes the ids reproducible")
    return parser.parse_args(arguments)
