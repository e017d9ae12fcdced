"""Samples gauges from the key store at intervals."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from payment_service.key_store.contract import KeyStore, StoreUnavailable
from payment_service.payments.creation.resolve import is_unknown
from payment_service.telemetry.metrics.definitions import MetricDefinitions

# Prometheus usually scrapes every 15 s. A sample reads all pending records, which are few.
SAMPLE_SECONDS = 15.0

log = logging.getLogger("metrics")


def sample(store: KeyStore, metrics: MetricDefinitions, now: float) -> None:
    """Take one sample. `now` is in Unix seconds. Raises StoreUnavailable."""
    pending = store.scan("pending")
    metrics.unknown_orders.set(sum(is_unknown(record, now) for record in pending))
    oldest = store.due(now, 1)
    metrics.outbox_age_seconds.set(now - (oldest[0].due_at or now) if oldest else 0.0)


def keep_sampling(
    store: KeyStore,
    metrics: MetricDefinitions,
    stop: threading.Event,
    clock: Callable[[], float] = time.time,
) -> None:
    """Take a sample every SAMPLE_SECONDS until `stop` is set."""
    while True:
        try:
            sample(store, metrics, clock())
        except StoreUnavailable:
            log.warning("metrics: the key store does not answer")
        if stop.wait(SAMPLE_SECONDS):
            return


def start_sampling(store: KeyStore, metrics: MetricDefinitions) -> threading.Event:
    """Sample in a background thread; set the returned event to stop it."""
    stop = threading.Event()
    threading.Thread(
        target=keep_sampling, args=(store, metrics, stop), name="metrics", daemon=True
    ).start()
    return stop
