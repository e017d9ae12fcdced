"""Counts and measures requests, orders, sends to Stripe and store operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.key_store.contract import (
    KeyRecord,
    KeyStore,
    Order,
    Position,
    Selection,
    State,
    StoreUnavailable,
)
from payment_service.telemetry.gateway_operations import ROUTE_OF
from payment_service.telemetry.metrics.definitions import NO_ROUTE, SENT
from payment_service.telemetry.metrics.none import NoMetrics
from payment_service.telemetry.metrics.sampling import start_sampling

if TYPE_CHECKING:
    from payment_service.gateways.send_report import Send
    from payment_service.payments.observer import Observation
    from payment_service.telemetry.metrics.definitions import MetricDefinitions


class PrometheusMetrics(NoMetrics):
    """Updates the Prometheus metrics.

    A failed request that took `budget_seconds` counts as one that exhausted its budget.
    """

    def __init__(
        self,
        metrics: MetricDefinitions,
        budget_seconds: float,
        export: Callable[[], None] = lambda: None,
        directory: Path | None = None,
    ) -> None:
        """`export` starts to serve GET /metrics; `directory` is shared with other processes."""
        self._metrics, self._budget_seconds = metrics, budget_seconds
        self._export, self._directory = export, directory
        self._store: KeyStore | None = None
        metrics.start_at_zero()

    def start_requests_at_zero(self, routes: Collection[str], statuses: Collection[int]) -> None:
        """Create the series of these routes and statuses."""
        self._metrics.start_requests_at_zero(routes, statuses)

    def serve(self) -> None:
        """Start the threads that serve GET /metrics and sample the key store."""
        self._export()
        if self._store is not None:
            start_sampling(self._store, self._metrics, self._directory)

    def request(self, route: str | None, status: int, seconds: float) -> None:
        """Count a request; all requests without a route share one label."""
        label = route or NO_ROUTE
        self._metrics.requests.labels(label, str(status)).inc()
        self._metrics.request_seconds.labels(label).observe(seconds)
        if status >= 400 and seconds >= self._budget_seconds:
            self._metrics.budget_exhaustions.inc()

    def observation(self, seen: Observation) -> None:
        """Count an event of an order."""
        self._metrics.observations.labels(seen.what).inc()

    def send(self, send: Send, gateway: str = DEFAULT_GATEWAY) -> None:
        """Count a request to a gateway."""
        outcome = send.verdict.meaning.name.lower() if send.verdict else SENT
        operation = f"{send.method.upper()} {ROUTE_OF[gateway](send.path)}"
        label = self._metrics.of_gateway(gateway)
        self._metrics.sends.labels(operation, outcome, *label).inc()
        self._metrics.send_seconds.labels(operation, *label).observe(send.seconds)

    def circuit(self, gateway: str, *, is_open: bool) -> None:
        """Show whether new orders of this process avoid a gateway."""
        if self._metrics.gateways:
            self._metrics.circuit_open.labels(gateway).set(is_open)

    def spans(self, outcome: str, number: int) -> None:
        """Count spans that the collector took, or that were lost: SPAN_OUTCOMES."""
        self._metrics.spans.labels(outcome).inc(number)

    def measured(self, store: KeyStore) -> KeyStore:
        """Wrap the store to measure it."""
        self._store = store
        return MeasuredStore(store, self._metrics)


class MeasuredStore:
    """A KeyStore that measures the operations of another one."""

    def __init__(self, store: KeyStore, metrics: MetricDefinitions) -> None:
        self._store, self._metrics = store, metrics

    def claim(self, record: KeyRecord) -> KeyRecord:
        """See KeyStore."""
        with _Timed(self._metrics, "claim"):
            return self._store.claim(record)

    def read(self, order: Order) -> KeyRecord | None:
        """See KeyStore."""
        with _Timed(self._metrics, "read"):
            return self._store.read(order)

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        """See KeyStore."""
        with _Timed(self._metrics, "replace"):
            return self._store.replace(current, new)

    def forget(self, current: KeyRecord) -> bool:
        """See KeyStore."""
        with _Timed(self._metrics, "forget"):
            return self._store.forget(current)

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        """See KeyStore."""
        with _Timed(self._metrics, "due"):
            return self._store.due(now, limit)

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        """See KeyStore; not measured, because the caller determines how long a scan takes."""
        return self._store.scan(state)

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        """See KeyStore."""
        with _Timed(self._metrics, "page"):
            return self._store.page(selection, limit, before)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:
        """See KeyStore; not measured, as a scan is not."""
        return self._store.unlisted(again=again)

    def ping(self) -> None:
        """See KeyStore."""
        with _Timed(self._metrics, "ping"):
            self._store.ping()

    def close(self) -> None:
        """See KeyStore."""
        self._store.close()


class _Timed:
    def __init__(self, metrics: MetricDefinitions, operation: str) -> None:
        self._metrics, self._operation = metrics, operation
        self._started = time.perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        seconds = time.perf_counter() - self._started
        self._metrics.store_seconds.labels(self._operation).observe(seconds)
        if isinstance(error, StoreUnavailable):
            self._metrics.store_failures.labels(self._operation, error.cause).inc()
