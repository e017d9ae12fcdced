"""Metrics while METRICS_PORT is unset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from payment_service.key_store import KeyStore

if TYPE_CHECKING:
    from payment_service.gateways.sends import Send
    from payment_service.payments.observer import Happening


class NoMetrics:
    """Takes what `telemetry.metrics.prometheus.Counting` takes, and counts nothing."""

    def request(self, route: str | None, status: int, seconds: float) -> None:
        """See Counting."""

    def happening(self, happening: Happening) -> None:
        """See Counting."""

    def send(self, send: Send) -> None:
        """See Counting."""

    def measured(self, store: KeyStore) -> KeyStore:
        """See Counting."""
        return store
