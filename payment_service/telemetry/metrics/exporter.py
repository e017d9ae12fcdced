"""The metrics exporter: a small HTTP server on METRICS_PORT, in its own process.

`python -m payment_service.telemetry.metrics.exporter` adds up what all workers wrote to
PROMETHEUS_MULTIPROC_DIR, and looks into the key store itself. gunicorn's hooks start and end it,
with its own process id behind that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from payment_service.key_store import open_key_store
from payment_service.settings import Settings, SettingsError, load_settings
from payment_service.telemetry import request_log
from payment_service.telemetry.metrics.definitions import MetricDefinitions
from payment_service.telemetry.metrics.exporter_process import PARENT_SECONDS
from payment_service.telemetry.metrics.sampling import start_sampling


def serve(settings: Settings, registry: CollectorRegistry) -> Any:
    """Serve GET /metrics from a thread; return the server. Raises OSError if the port is taken."""
    assert settings.metrics_port
    server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    return server


def main() -> None:
    """Serve until SIGTERM."""
    try:
        settings = load_settings()
    except SettingsError as wrong:
        sys.exit(str(wrong))
    if settings.metrics_port is None or settings.prometheus_multiproc_dir is None:
        sys.exit("Settings: METRICS_PORT and PROMETHEUS_MULTIPROC_DIR must be set")
    request_log.start_logging(settings.log_level)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(settings.prometheus_multiproc_dir))  # type: ignore[no-untyped-call]
    try:
        server = serve(settings, registry)
    except OSError as wrong:
        sys.exit(f"Settings: METRICS_HOST, METRICS_PORT: cannot be listened on: {wrong.strerror}")
    url = settings.key_store_url.get_secret_value()
    if url != "memory://":
        start_sampling(open_key_store(url), MetricDefinitions(CollectorRegistry()))
    # Stop when the master dies: a killed master cannot stop the exporter, and the next one needs
    # the port. The master passes its id because it may already be gone.
    master = int(sys.argv[1]) if sys.argv[1:] else os.getppid()
    while not stop.wait(PARENT_SECONDS) and os.getppid() == master:
        pass
    server.shutdown()


if __name__ == "__main__":
    main()
