"""Every metric, once: the dashboard and the alert rules use these names and no others."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From a replay's 10 ms to the whole budget.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)

# From a dict's microseconds to a store's time-out.
STORE_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)


class Names:
    """The metrics of one process. With PROMETHEUS_MULTIPROC_DIR set, of all of them together."""

    def __init__(self, registry: CollectorRegistry) -> None:
        given: dict[str, Any] = {"namespace": "payments", "registry": registry}
        self.requests = Counter("requests", "Requests answered.", ["route", "status"], **given)
        self.request_seconds = Histogram(
            "request_seconds", "Time to the answer.", ["route"], buckets=SECONDS, **given
        )
        self.budget_exhaustions = Counter(
            "budget_exhaustions", "Requests that failed after all their time was used.", **given
        )
        self.sends = Counter(
            "stripe_sends",
            "Requests to Stripe; outcome ok, or what the failure means.",
            ["operation", "outcome"],
            **given,
        )
        self.send_seconds = Histogram(
            "stripe_send_seconds",
            "Time of one request to Stripe.",
            ["operation"],
            buckets=SECONDS,
            **given,
        )
        self.happenings = Counter(
            "order_happenings",
            "What happened to orders: replayed, waited, taken_over, adopted, stray_left, ...",
            ["what"],
            **given,
        )
        self.store_seconds = Histogram(
            "store_seconds",
            "Time of one operation of the key store.",
            ["operation"],
            buckets=STORE_SECONDS,
            **given,
        )
        self.store_failures = Counter(
            "store_failures",
            "Operations without an answer.",
            ["operation"],
            **given,
        )
        gauge = {**given, "multiprocess_mode": "livesum"}
        self.unknown_orders = Gauge(
            "unknown_orders", "Orders of which Stripe's answer is not known now.", **gauge
        )
        self.outbox_age_seconds = Gauge(
            "outbox_age_seconds", "How long the oldest undelivered event has been due.", **gauge
        )
