"""The metrics of `reconcile`, in a file.

The command ends before Prometheus could scrape it, so node_exporter's textfile collector serves
the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile


def registry_of(counts: Mapping[str, int]) -> CollectorRegistry:
    """Return the metrics of a run that ends now; `counts` are the numbers of orders by outcome."""
    registry = CollectorRegistry()
    orders = Gauge(
        "payments_reconcile_orders",
        "Orders in the last run of reconcile.",
        ["outcome"],
        registry=registry,
    )
    for outcome, count in counts.items():
        orders.labels(outcome).set(count)
    Gauge(
        "payments_reconcile_finished_timestamp_seconds",
        "When the last run of reconcile finished.",
        registry=registry,
    ).set_to_current_time()
    return registry


def write(path: Path, counts: Mapping[str, int]) -> None:
    """Replace the file in one step, so that a scrape sees no half of it. Raises OSError."""
    write_to_textfile(str(path), registry_of(counts))
