"""Definitions of all metrics; the dashboard and the alert rules use exactly these names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from payment_service.gateways.send_report import Meaning
from payment_service.gateways.sent_params import DEFAULT_GATEWAY
from payment_service.key_store.contract import Cause
from payment_service.payments.observer import What
from payment_service.telemetry.gateway_operations import OPERATIONS

# From a replay (10 ms) to the whole request budget.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)

# From the memory store (microseconds) to a store's time-out.
STORE_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)

# The label of requests that match no route.
NO_ROUTE = "none"

STORE_OPERATIONS = ("claim", "read", "replace", "forget", "due", "page", "ping")

SPAN_OUTCOMES = ("exported", "failed")

SENT = "ok"

SEND_OUTCOMES = (SENT, *(each.name.lower() for each in Meaning))


class MetricDefinitions:
    """The metrics of one process; with PROMETHEUS_MULTIPROC_DIR, of all worker processes."""

    def __init__(self, registry: CollectorRegistry, gateways: Sequence[str] = ()) -> None:
        """`gateways`: their names, where the service has several; each send then has a label."""
        self.gateways = gateways
        of_gateway = ["gateway"] if gateways else []
        given: dict[str, Any] = {"namespace": "payments", "registry": registry}
        self.requests = Counter("requests", "Requests answered.", ["route", "status"], **given)
        self.request_seconds = Histogram(
            "request_seconds", "Time from request to response.", ["route"], buckets=SECONDS, **given
        )
        self.budget_exhaustions = Counter(
            "budget_exhaustions", "Requests that failed after using their whole budget.", **given
        )
        self.sends = Counter(
            "stripe_sends",
            "Requests to Stripe; outcome is ok or the kind of failure.",
            ["operation", "outcome", *of_gateway],
            **given,
        )
        self.send_seconds = Histogram(
            "stripe_send_seconds",
            "Time of one request to Stripe.",
            ["operation", *of_gateway],
            buckets=SECONDS,
            **given,
        )
        self.observations = Counter(
            "order_happenings",
            "Events of orders: replayed, waited, taken_over, adopted, stray_left, ...",
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
            "Operations of the key store that failed or got no answer; cause as in /readyz.",
            ["operation", "cause"],
            **given,
        )
        self.spans = Counter(
            "spans", "Spans of traces: exported to the collector, or failed.", ["outcome"], **given
        )
        # One worker samples at a time; the value of the one before it is out of date.
        gauge = {**given, "multiprocess_mode": "livemostrecent"}
        self.unknown_orders = Gauge(
            "unknown_orders", "Orders whose outcome at Stripe is unknown.", **gauge
        )
        self.outbox_age_seconds = Gauge(
            "outbox_age_seconds", "Age of the oldest event that its receiver lacks.", **gauge
        )

        if gateways:
            self.leftovers = Gauge(
                "leftovers", "Attempts at a gateway that their orders have left.", **gauge
            )
            # Each process has its own circuit, so the highest value shows the first that opens.
            self.circuit_open = Gauge(
                "circuit_open",
                "1 while new orders avoid the gateway, because it does not answer.",
                ["gateway"],
                **{**given, "multiprocess_mode": "livemax"},
            )

    def start_at_zero(self) -> None:
        """Create the series of orders, sends and store operations with the value 0.

        Prometheus computes an increase from two samples. A series that appeared with its first
        event would begin at 1, and an alert for that event would never fire.
        """
        for what in get_args(What):
            self.observations.labels(what)
        for gateway in self.gateways or (DEFAULT_GATEWAY,):
            for method, route in OPERATIONS[gateway]:
                label = self.of_gateway(gateway)
                self.send_seconds.labels(f"{method} {route}", *label)
                for outcome in SEND_OUTCOMES:
                    self.sends.labels(f"{method} {route}", outcome, *label)
        for gateway in self.gateways:
            self.circuit_open.labels(gateway)
        for operation in STORE_OPERATIONS:
            self.store_seconds.labels(operation)
            for cause in get_args(Cause):
                self.store_failures.labels(operation, cause)
        for outcome in SPAN_OUTCOMES:
            self.spans.labels(outcome)

    def of_gateway(self, gateway: str) -> tuple[str, ...]:
        """Return the label of a gateway; none where there is only one."""
        return (gateway,) if self.gateways else ()

    def start_requests_at_zero(self, routes: Collection[str], statuses: Collection[int]) -> None:
        """Create the series of each route with each status, and those of no route."""
        for route in (*routes, NO_ROUTE):
            self.request_seconds.labels(route)
        for route, status in product((*routes, NO_ROUTE), statuses):
            self.requests.labels(route, str(status))
