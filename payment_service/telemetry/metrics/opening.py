"""Creates the metrics from the settings; without METRICS_PORT, imports and counts nothing."""

from __future__ import annotations

import logging

from payment_service.settings import Settings, forget_blank_settings
from payment_service.telemetry.metrics.none import NoMetrics

log = logging.getLogger("metrics")

# The least time for which a last send is still made (gateways.retry).
LAST_SEND_SECONDS = 0.3


def open_metrics(settings: Settings) -> NoMetrics:
    """Create the metrics. Under gunicorn the exporter combines the workers' counts; otherwise this
    process serves Prometheus itself.
    """
    if settings.metrics_port is None:
        return NoMetrics()
    forget_blank_settings()
    from prometheus_client import CollectorRegistry

    from payment_service.telemetry.metrics import counter_files
    from payment_service.telemetry.metrics.definitions import MetricDefinitions
    from payment_service.telemetry.metrics.prometheus import PrometheusMetrics

    counter_files.install()
    registry = CollectorRegistry()
    metrics = MetricDefinitions(registry)
    if settings.prometheus_multiproc_dir is None:
        _serve_here(settings, registry)
    time_used = settings.request_budget_seconds - settings.store_timeout_seconds
    return PrometheusMetrics(
        metrics,
        time_used - LAST_SEND_SECONDS,
        samples=settings.prometheus_multiproc_dir is None or _in_this_process(settings),
    )


def _serve_here(settings: Settings, registry: object) -> None:
    from payment_service.telemetry.metrics.exporter import serve

    try:
        serve(settings, registry)  # type: ignore[arg-type]
    except OSError as taken:
        log.warning(
            "METRICS_PORT is taken: with several processes, set PROMETHEUS_MULTIPROC_DIR and run "
            "python -m payment_service.telemetry.metrics.exporter",
            extra={"reason": taken.strerror},
        )


def _in_this_process(settings: Settings) -> bool:
    return settings.key_store_url.get_secret_value() == "memory://"
