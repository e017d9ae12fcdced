"""Creates the metrics from the settings; without METRICS_PORT, imports and counts nothing."""

from __future__ import annotations

from payment_service.settings import Settings, forget_blank_settings
from payment_service.telemetry.metrics.none import NoMetrics

# The least time for which a last send is still made (gateways.retry).
LAST_SEND_SECONDS = 0.3


def open_metrics(settings: Settings) -> NoMetrics:
    """Create the metrics of this process."""
    if settings.metrics_port is None:
        return NoMetrics()
    forget_blank_settings()
    from prometheus_client import CollectorRegistry

    from payment_service.telemetry.metrics import counter_files
    from payment_service.telemetry.metrics.definitions import MetricDefinitions
    from payment_service.telemetry.metrics.exporter import start_exporter
    from payment_service.telemetry.metrics.prometheus import PrometheusMetrics

    counter_files.install()
    registry = CollectorRegistry()
    time_used = settings.request_budget_seconds - settings.store_timeout_seconds
    return PrometheusMetrics(
        MetricDefinitions(registry, settings.listed_gateways if settings.several_gateways else ()),
        time_used - LAST_SEND_SECONDS,
        lambda: start_exporter(settings, registry),
        settings.prometheus_multiproc_dir,
    )
