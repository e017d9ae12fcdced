"""What nobody tells and only the store knows: looked up now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from payment_service.key_store.contract import KeyStore, StoreUnavailable
from payment_service.payments.creation.resolve import is_unknown
from payment_service.telemetry.metrics.definitions import Names

# Prometheus asks every 15 s as a rule; a look goes through all pending records, which are few.
SAMPLE_SECONDS = 15.0

log = logging.getLogger("metrics")


def sample(store: KeyStore, names: Names, now: float) -> None:
    """Look once. `now` in Unix seconds. Raises StoreUnavailable."""
    pending = store.scan("pending")
    names.unknown_orders.set(sum(is_unknown(record, now) for record in pending))
    oldest = store.due(now, 1)
    names.outbox_age_seconds.set(now - (oldest[0].due_at or now) if oldest else 0.0)


def keep_sampling(
    store: KeyStore,
    names: Names,
    stop: threading.Event,
    clock: Callable[[], float] = time.time,
) -> None:
    """Look every SAMPLE_SECONDS until `stop` is set."""
    while True:
        try:
            sample(store, names, clock())
        except StoreUnavailable:
            log.warning("metrics: the key store does not answer")
        if stop.wait(SAMPLE_SECONDS):
            return


def start_sampling(store: KeyStore, names: Names) -> threading.Event:
    """Look from a thread of its own until the returned event is set."""
    stop = threading.Event()
    threading.Thread(
        target=keep_sampling, args=(store, names, stop), name="metrics", daemon=True
    ).start()
    return stop
