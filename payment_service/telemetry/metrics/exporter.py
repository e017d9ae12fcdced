"""Serves GET /metrics on METRICS_PORT from a thread of every process that counts.

The workers of a service listen on the same port, and the kernel gives each scrape to one of them.
It adds up what all of them wrote to PROMETHEUS_MULTIPROC_DIR. With SO_REUSEPORT a new version of
the service can listen while the old one still does.
"""

from __future__ import annotations

import logging
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from payment_service.settings import Settings

log = logging.getLogger("metrics")


class _Server(ThreadingWSGIServer):
    allow_reuse_port = True


class _AloneOnItsPort(ThreadingWSGIServer):
    allow_reuse_port = False


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log no scrape."""


def start_exporter(settings: Settings, registry: CollectorRegistry) -> None:
    """Start the thread, or log why it cannot listen: orders do not depend on it.

    Without PROMETHEUS_MULTIPROC_DIR it serves `registry`, the counts of this process alone. A
    second process must not share the port then, because each scrape would see other counts.
    """
    assert settings.metrics_port
    host, port = settings.metrics_host, settings.metrics_port
    directory = settings.prometheus_multiproc_dir
    try:
        family, _, _, _, address = address_of(host, port)
        kind = _family_of(_Server if directory else _AloneOnItsPort, family)
        app = make_wsgi_app(_sum_of(directory) if directory else registry)
        server = make_server(str(address[0]), port, app, kind, _Quiet)
    except OSError as wrong:
        log.warning(
            "this process cannot listen on METRICS_PORT, so nothing can scrape it; several "
            "processes without gunicorn.conf.py need PROMETHEUS_MULTIPROC_DIR",
            extra={"reason": wrong.strerror},
        )
        return
    threading.Thread(target=server.serve_forever, name="exporter", daemon=True).start()


def address_of(host: str, port: int) -> tuple[socket.AddressFamily, int, int, str, tuple[str, int]]:
    """Resolve an address to listen on, as `socket.getaddrinfo`. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return found[0]  # type: ignore[return-value]


def _family_of(
    kind: type[ThreadingWSGIServer], family: socket.AddressFamily
) -> type[ThreadingWSGIServer]:
    return type(kind.__name__, (kind,), {"address_family": family})


def _sum_of(directory: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return registry
