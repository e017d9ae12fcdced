"""The servers to compare: ours on each store, and small equivalents of others."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"

PORT, STRIPE_PORT, PAYPAL_PORT = 4260, 4261, 4262
STRIPE = f"http://127.0.0.1:{STRIPE_PORT}"
PAYPAL = f"http://127.0.0.1:{PAYPAL_PORT}"

# Two processes each, on a machine of two cores.
WORKERS = 2

NODE = "Node: Express, stripe-node"
SAMPLE = "Stripe's Flask sample"
ECHO = "bare Flask echo"


@dataclass(frozen=True, slots=True)
class Server:
    """The command and environment of a server, which listens on `port` and calls STRIPE."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = PORT

    def full_environ(self) -> dict[str, str]:
        """Return the environment, without inherited STRIPE_ and PYTHON variables.

        Python keeps its compiled files, as in an installation: compiling slows the start down.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STRIPE_", "PYTHON"))}
        return {**kept, "PEER_STRIPE_BASE": STRIPE, **self.environ}


def ours(name: str, key_store_url: str = "memory://", port: int = PORT, **settings: str) -> Server:
    """This service, with default settings except for its store."""
    environ = {
        "STRIPE_SECRET_KEY": "sk_test_bench",
        "STRIPE_API_BASE": STRIPE,
        "KEY_STORE_URL": key_store_url,
        "PORT": str(port),
        "WEB_CONCURRENCY": str(WORKERS),
        **settings,
    }
    command = (sys.executable, "-m", "gunicorn", "stripe_back_end_api:app")
    return Server(name, command, environ, port)


def with_paypal(server: Server) -> Server:
    """Our service with PayPal as its second gateway."""
    environ = {
        "GATEWAYS": "stripe,paypal",
        "FAILOVER": "1",
        "FAILOVER_AFTER_SECONDS": "2",
        "PAYPAL_CLIENT_ID": "app-1",
        "PAYPAL_CLIENT_SECRET": "secret",
        "PAYPAL_API_BASE": PAYPAL,
        "PAYPAL_RETURN_URL": "http://shop.invalid/paid?order={order_id}",
        "PAYPAL_CANCEL_URL": "http://shop.invalid/cart?order={order_id}",
    }
    return replace(server, environ={**server.environ, **environ})


def node() -> Server:
    """Stripe's Node sample, in a cluster."""
    script = str(PEERS / "node" / "server.js")
    return Server(NODE, ("node", script, str(PORT), str(STRIPE_PORT), str(WORKERS)))


def flask_sample(threads: int = 16) -> Server:
    """Stripe's Python sample under gunicorn."""
    return Server(SAMPLE, _gunicorn("flask_stripe:app", threads))


def tutorial(threads: int) -> Server:
    """A tutorial's code under gunicorn."""
    return Server("a tutorial's code", _gunicorn("tutorial:app", threads))


def fastapi() -> Server:
    """FastAPI on uvicorn with uvloop."""
    options = ("--workers", str(WORKERS), "--no-access-log", "--app-dir", str(PEERS))
    command = (sys.executable, "-m", "uvicorn", "fastapi_stripe:app", "--port", str(PORT))
    return Server("FastAPI, stripe async", (*command, *options))


def echo() -> Server:
    """Flask that echoes JSON, on our gunicorn worker: the cost of the server alone."""
    environ = {"STRIPE_SECRET_KEY": "sk_test_bench", "STRIPE_API_BASE": STRIPE, "PORT": str(PORT),
               "WEB_CONCURRENCY": str(WORKERS), "PYTHONPATH": str(PEERS)}  # fmt: skip
    return Server(ECHO, (sys.executable, "-m", "gunicorn", "echo:app"), environ)


def _gunicorn(app: str, threads: int) -> tuple[str, ...]:
    # Ignore our gunicorn.conf.py, which is in the working directory.
    options = f"-c /dev/null -k gthread -w {WORKERS} --threads {threads} -b 127.0.0.1:{PORT}"
    path = ("--pythonpath", str(PEERS))
    return (sys.executable, "-m", "gunicorn", *options.split(), *path, app)
