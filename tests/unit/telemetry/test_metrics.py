"""Metrics: events are counted, and dashboards and alerts use only names that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from payment_service.gateways.stripe.retry import Meaning, Verdict
from payment_service.gateways.stripe.send import Send
from payment_service.key_store.contract import KeyRecord, Order, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.observer import Happening
from payment_service.telemetry.metrics.definitions import Names
from payment_service.telemetry.metrics.prometheus import Counting, MeasuredStore
from payment_service.telemetry.metrics.sampling import sample

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def names(registry: CollectorRegistry) -> Names:
    return Names(registry)


def record(order_id: str, locked_until: float, due_at: float | None = None) -> KeyRecord:
    order = Order(False, None, order_id)
    return KeyRecord(order, 1, "f", "{}", "pending", "me", locked_until, 0.0, 0.0, due_at=due_at)


def test_events_are_counted(registry: CollectorRegistry, names: Names) -> None:
    counting = Counting(names, budget_seconds=20.0)
    counting.request("/create-payment-intent", 200, 0.3)
    counting.request("/create-payment-intent", 503, 21.0)
    counting.request(None, 404, 0.001)
    counting.happening(Happening("adopted", Order(False, None, "A-1"), 1))
    limited = Verdict(Meaning.LIMITED, again=True, status=429)
    counting.send(Send("post", "/v1/payment_intents", 1, 0.1, None, None, limited))
    counting.send(Send("get", "/v1/payment_intents/pi_1Ab", 2, 0.1, None, None, None))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"payments_{name}", labels)

    assert value("requests_total", route="/create-payment-intent", status="200") == 1
    assert value("requests_total", route="none", status="404") == 1
    assert value("budget_exhaustions_total") == 1
    assert value("order_happenings_total", what="adopted") == 1
    sends = "stripe_sends_total"
    assert value(sends, operation="POST /v1/payment_intents", outcome="limited") == 1
    assert value(sends, operation="GET /v1/payment_intents/:id", outcome="ok") == 1


def test_store_operations_are_measured(registry: CollectorRegistry, names: Names) -> None:
    class Down(MemoryStore):
        def ping(self) -> None:
            raise StoreUnavailable

    store = MeasuredStore(Down(), names)
    store.claim(record("A-1", 0.0))
    with pytest.raises(StoreUnavailable):
        store.ping()
    count = registry.get_sample_value
    assert count("payments_store_seconds_count", {"operation": "claim"}) == 1
    assert count("payments_store_failures_total", {"operation": "ping"}) == 1


def test_unknown_orders_and_undelivered_events_are_counted(
    registry: CollectorRegistry, names: Names
) -> None:
    store = MemoryStore()
    for each in (record("A-1", 50.0), record("A-2", 150.0), record("A-3", 10.0, due_at=70.0)):
        store.claim(each)
    sample(store, names, now=100.0)
    assert registry.get_sample_value("payments_unknown_orders") == 2
    assert registry.get_sample_value("payments_outbox_age_seconds") == 30.0


def series(registry: CollectorRegistry) -> set[str]:
    """Return every series name that Prometheus scrapes."""
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    return {
        metric.name + ending for metric in registry.collect() for ending in endings[metric.type]
    }


def used_in(text: str) -> set[str]:
    return set(re.findall(r"\bpayments_\w+", text))


def test_dashboard_and_alerts_use_existing_names(registry: CollectorRegistry, names: Names) -> None:
    known = series(registry)
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    shown = {name for p in panels for t in p["targets"] for name in used_in(t["expr"])}
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    alarmed = {n for group in rules for rule in group["rules"] for n in used_in(rule["expr"])}
    assert shown <= known
    assert alarmed <= known
    roots = {re.sub("_(total|bucket|count|sum)$", "", name) for name in shown}
    assert roots == {re.sub("_(total|bucket|count|sum)$", "", name) for name in known}


def test_every_alert_has_a_runbook_section() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    handbook = (DEPLOY.parent / "docs" / "operations.md").read_text()
    for group in rules:
        for rule in group["rules"]:
            assert f"### {rule['alert']}" in handbook
            assert rule["annotations"]["runbook_url"].endswith(f"#{rule['alert'].lower()}")
