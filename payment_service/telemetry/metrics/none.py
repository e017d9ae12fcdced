"""Metrics while METRICS_PORT is unset."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.key_store import KeyStore

if TYPE_CHECKING:
    from payment_service.gateways.send_report import Send
    from payment_service.payments.observer import Observation


class NoMetrics:
    """The interface of `telemetry.metrics.prometheus.PrometheusMetrics`; counts nothing."""

    def start_requests_at_zero(self, routes: Collection[str], statuses: Collection[int]) -> None:
        """See PrometheusMetrics."""

    def request(self, route: str | None, status: int, seconds: float) -> None:
        """See PrometheusMetrics."""

    def observation(self, seen: Observation) -> None:
        """See PrometheusMetrics."""

    def send(self, send: Send, gateway: str = DEFAULT_GATEWAY) -> None:
        """See PrometheusMetrics."""

    def circuit(self, gateway: str, *, is_open: bool) -> None:
        """See PrometheusMetrics."""

    def spans(self, outcome: str, number: int) -> None:
        """See PrometheusMetrics."""

    def serve(self) -> None:
        """See PrometheusMetrics."""

    def measured(self, store: KeyStore) -> KeyStore:
        """See PrometheusMetrics."""
        return store
