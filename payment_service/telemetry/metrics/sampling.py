"""Samples gauges from the key store at intervals."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from payment_service.key_store.contract import KeyStore, StoreUnavailable
from payment_service.payments.creation.resolve import is_unknown
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.shop_events.outbox import JITTER, MOST_WAIT_SECONDS
from payment_service.telemetry.metrics.definitions import MetricDefinitions

# Prometheus usually scrapes every 15 s. A sample reads all pending records, which are few.
SAMPLE_SECONDS = 15.0

# Records with waiting events or late look-ups that a sample reads: a few megabytes at most.
MOST_WAITING = 2_000

log = logging.getLogger("metrics")


def sample(store: KeyStore, metrics: MetricDefinitions, now: float) -> None:
    """Take one sample. `now` is in Unix seconds. Raises StoreUnavailable."""
    pending = store.scan("pending")
    metrics.unknown_orders.set(sum(is_unknown(record, now) for record in pending))
    metrics.outbox_age_seconds.set(_age_of_oldest_event(store, now))


def _age_of_oldest_event(store: KeyStore, now: float) -> float:
    """Return the age in seconds of the oldest event of the next MOST_WAITING records.

    A failed delivery puts an event off by up to an hour, so also look at those that are not due.
    """
    waiting = store.due(now + MOST_WAIT_SECONDS * JITTER[1], MOST_WAITING)
    events = (FollowUp.parse(record.follow_up).next_event for record in waiting)
    return max((now - event.at for event in events if event is not None), default=0.0)


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
