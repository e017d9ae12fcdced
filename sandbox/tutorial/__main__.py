"""`python -m sandbox.tutorial`: run the tutorial's server as a process, for /demo/faults."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

import stripe
from gunicorn.app.base import BaseApplication

from sandbox.tutorial import naive
from sandbox.tutorial.access import Wsgi, kill_workers_of, restricted_to_page

DEFAULT_PORT = 12112

# More than the connections that a browser opens at once.
THREADS = 32


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with one worker, which gunicorn restarts after a kill."""

    def __init__(self, app: Wsgi, **options: Any) -> None:
        self._app, self._options = app, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Wsgi:
        return self._app


def main() -> None:
    """Serve until SIGTERM."""
    options = _options()
    stripe.api_base = options.sandbox_url
    naive.paypal = options.paypal_url or naive.paypal
    kill = functools.partial(kill_workers_of, options.service_pid)
    app = restricted_to_page(
        naive.app.wsgi_app,
        page_port=options.page_port,
        kill=kill,
        source=Path(naive.__file__).read_bytes(),
    )
    Server(
        app,
        bind=f"127.0.0.1:{options.port}",
        threads=THREADS,
        loglevel="critical",
        control_socket_disable=True,
    ).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.tutorial",
        description="A typical tutorial's payment server, naive on purpose; no money moves.",
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--sandbox-url", required=True, help="address of the sandbox")
    parser.add_argument("--paypal-url", help="address of PayPal's stand-in")
    parser.add_argument(
        "--page-port", type=int, required=True, help="port that serves /demo/faults"
    )
    parser.add_argument(
        "--service-pid", type=int, required=True, help="process whose workers POST /kill kills"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
