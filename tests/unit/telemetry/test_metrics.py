"""Metrics: events are counted, and the dashboards use only defined names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from payment_service.gateways.sends import Meaning, Send, Verdict
from payment_service.key_store.contract import KeyRecord, Order, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.observer import Observation
from payment_service.telemetry.metrics.definitions import MetricDefinitions
from payment_service.telemetry.metrics.prometheus import MeasuredStore, PrometheusMetrics
from payment_service.telemetry.metrics.sampling import sample

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def names(registry: CollectorRegistry) -> MetricDefinitions:
    return MetricDefinitions(registry)


def record(order_id: str, locked_until: float, due_at: float | None = None) -> KeyRecord:
    order = Order(False, None, order_id)
    return KeyRecord(order, 1, "f", "{}", "pending", "me", locked_until, 0.0, 0.0, due_at=due_at)


def test_events_are_counted(registry: CollectorRegistry, names: MetricDefinitions) -> None:
    metrics = PrometheusMetrics(names, budget_seconds=20.0)
    metrics.request("/create-payment-intent", 200, 0.3)
    metrics.request("/create-payment-intent", 503, 21.0)
    metrics.request(None, 404, 0.001)
    metrics.observation(Observation("adopted", Order(False, None, "A-1"), 1))
    limited = Verdict(Meaning.LIMITED, again=True, status=429)
    metrics.send(Send("post", "/v1/payment_intents", 1, 0.1, None, None, limited))
    metrics.send(Send("get", "/v1/payment_intents/pi_1Ab", 2, 0.1, None, None, None))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"payments_{name}", labels)

    assert value("requests_total", route="/create-payment-intent", status="200") == 1
    assert value("requests_total", route="none", status="404") == 1
    assert value("budget_exhaustions_total") == 1
    assert value("order_happenings_total", what="adopted") == 1
    sends = "stripe_sends_total"
    assert value(sends, operation="POST /v1/payment_intents", outcome="limited") == 1
    assert value(sends, operation="GET /v1/payment_intents/:id", outcome="ok") == 1


def test_the_store_is_measured(registry: CollectorRegistry, names: MetricDefinitions) -> None:
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


def test_unknown_orders_and_the_outbox_age_are_sampled(
    registry: CollectorRegistry, names: MetricDefinitions
) -> None:
    store = MemoryStore()
    for each in (record("A-1", 50.0), record("A-2", 150.0), record("A-3", 10.0, due_at=70.0)):
        store.claim(each)
    sample(store, names, now=100.0)
    assert registry.get_sample_value("payments_unknown_orders") == 2
    assert registry.get_sample_value("payments_outbox_age_seconds") == 30.0


def series(registry: CollectorRegistry) -> set[str]:
    """Every name that Prometheus can see."""
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    return {
        metric.name + ending for metric in registry.collect() for ending in endings[metric.type]
    }


def used_in(text: str) -> set[str]:
    return set(re.findall(r"\bpayments_\w+", text))


def test_the_dashboard_and_the_alerts_use_these_names(
    registry: CollectorRegistry, names: MetricDefinitions
) -> None:
    known = series(registry)
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    shown = {name for p in panels for t in p["targets"] for name in used_in(t["expr"])}
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    alarmed = {n for group in rules for rule in group["rules"] for n in used_in(rule["expr"])}
    assert shown <= known
    assert alarmed <= known
    roots = {re.sub("_(total|bucket|count|sum)$", "", name) for name in shown}
    assert roots == {re.sub("_(total|bucket|count|sum)$", "", name) for name in known}


def test_every_alert_has_its_chapter_in_the_handbook() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    handbook = (DEPLOY.parent / "docs" / "operations.md").read_text()
    for group in rules:
        for rule in group["rules"]:
            assert f"### {rule['alert']}" in handbook
            assert rule["annotations"]["runbook_url"].endswith(f"#{rule['alert'].lower()}")
