"""Samples gauges from the key store at intervals."""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from payment_service.key_store.contract import KeyStore, Selection, StoreUnavailable
from payment_service.key_store.listing import all_of
from payment_service.payments.creation.resolve import is_unknown
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.shop_events.outbox import JITTER, MOST_WAIT_SECONDS
from payment_service.telemetry.metrics.definitions import MetricDefinitions

# Prometheus usually scrapes every 15 s. A sample reads all pending records, which are few.
SAMPLE_SECONDS = 15.0

# Records with waiting events or late look-ups that a sample reads: a few megabytes at most.
MOST_WAITING = 2_000
# The worker that has this file locked samples. The kernel releases the lock of one that ends.
LOCK = "sampler"

log = logging.getLogger("metrics")


def sample(store: KeyStore, metrics: MetricDefinitions, now: float) -> None:
    """Take one sample. `now` is in Unix seconds. Raises StoreUnavailable."""
    modes = [Selection(livemode, statuses=("pending",)) for livemode in (False, True)]
    pending = (record for mode in modes for record in all_of(store, mode))
    metrics.unknown_orders.set(sum(is_unknown(record, now) for record in pending))
    # A failed delivery puts an event off by up to an hour, and so does a failed look at a leftover:
    # also read records that are not due.
    waiting = store.due(now + MOST_WAIT_SECONDS * JITTER[1], MOST_WAITING)
    kept = [FollowUp.parse(record.follow_up) for record in waiting]
    ages = [now - each.next_event.at for each in kept if each.next_event is not None]
    metrics.outbox_age_seconds.set(max(ages, default=0.0))
    if metrics.gateways:
        metrics.leftovers.set(sum(len(each.leftovers) for each in kept))


def start_sampling(store: KeyStore, metrics: MetricDefinitions, directory: Path | None) -> None:
    """Sample in a background thread. Of the processes that share `directory`, one does."""
    threading.Thread(
        target=_keep_sampling,
        args=(store, metrics, _turn_in(directory)),
        name="metrics",
        daemon=True,
    ).start()


def _keep_sampling(
    store: KeyStore, metrics: MetricDefinitions, is_sampler: Callable[[], bool]
) -> None:
    while True:
        try:
            if is_sampler():
                sample(store, metrics, time.time())
        except StoreUnavailable as failed:
            log.warning("metrics: the key store fails", extra={"cause": str(failed)})
        time.sleep(SAMPLE_SECONDS)


def _turn_in(directory: Path | None) -> Callable[[], bool]:
    """Return a function that says whether it is this process's turn to sample."""
    if directory is None:
        return lambda: True
    try:
        lock = (directory / LOCK).open("w")
    except OSError as refused:
        log.warning("metrics: no lock, so every worker samples", extra={"reason": str(refused)})
        return lambda: True

    def is_sampler() -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # The system refuses locks, so every worker samples, and the latest value counts.
            return True
        return True

    return is_sampler
