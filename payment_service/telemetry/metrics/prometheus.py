"""Who counts: what the core, the HTTP layer and the store tell becomes numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from payment_service.gateways.stripe.paths import route_of
from payment_service.key_store.contract import KeyRecord, KeyStore, Order, State, StoreUnavailable
from payment_service.telemetry.metrics.none import NoMetrics
from payment_service.telemetry.metrics.sampling import start_sampling

if TYPE_CHECKING:
    from payment_service.gateways.sends import Send
    from payment_service.payments.observer import Happening
    from payment_service.telemetry.metrics.definitions import Names


class Counting(NoMetrics):
    """Takes what is told. `budget_seconds`: after this, a failed request had used its time.

    `samples`: the store is seen by this process only, or by no exporter.
    """

    def __init__(self, names: Names, budget_seconds: float, *, samples: bool = False) -> None:
        self._names, self._budget_seconds, self._samples = names, budget_seconds, samples

    def request(self, route: str | None, status: int, seconds: float) -> None:
        """Count an answered request; what has no route is counted together."""
        label = route or "none"
        self._names.requests.labels(label, str(status)).inc()
        self._names.request_seconds.labels(label).observe(seconds)
        if status >= 400 and seconds >= self._budget_seconds:
            self._names.budget_exhaustions.inc()

    def happening(self, happening: Happening) -> None:
        """Count what happened to an order."""
        self._names.happenings.labels(happening.what).inc()

    def send(self, send: Send) -> None:
        """Count a request to Stripe."""
        outcome = send.verdict.meaning.name.lower() if send.verdict else "ok"
        operation = f"{send.method.upper()} {route_of(send.path)}"
        self._names.sends.labels(operation, outcome).inc()
        self._names.send_seconds.labels(operation).observe(send.seconds)

    def measured(self, store: KeyStore) -> KeyStore:
        """Return the store, measured."""
        if self._samples:
            start_sampling(store, self._names)
        return MeasuredStore(store, self._names)


class MeasuredStore:
    """A KeyStore that measures another."""

    def __init__(self, store: KeyStore, names: Names) -> None:
        self._store, self._names = store, names

    def claim(self, record: KeyRecord) -> KeyRecord:
        """See KeyStore."""
        with _Measured(self._names, "claim"):
            return self._store.claim(record)

    def read(self, order: Order) -> KeyRecord | None:
        """See KeyStore."""
        with _Measured(self._names, "read"):
            return self._store.read(order)

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        """See KeyStore."""
        with _Measured(self._names, "replace"):
            return self._store.replace(current, new)

    def forget(self, current: KeyRecord) -> bool:
        """See KeyStore."""
        with _Measured(self._names, "forget"):
            return self._store.forget(current)

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        """See KeyStore."""
        with _Measured(self._names, "due"):
            return self._store.due(now, limit)

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        """See KeyStore; not measured, because its time is its reader's."""
        return self._store.scan(state)

    def ping(self) -> None:
        """See KeyStore."""
        with _Measured(self._names, "ping"):
            self._store.ping()

    def close(self) -> None:
        """See KeyStore."""
        self._store.close()


class _Measured:
    def __init__(self, names: Names, operation: str) -> None:
        self._names, self._operation = names, operation
        self._started = time.perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        seconds = time.perf_counter() - self._started
        self._names.store_seconds.labels(self._operation).observe(seconds)
        if isinstance(error, StoreUnavailable):
            self._names.store_failures.labels(self._operation).inc()
