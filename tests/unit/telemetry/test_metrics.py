"""Metrics: events are counted, and the dashboards use only defined names."""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import CollectorRegistry

from payment_service.gateways.send_report import Meaning, Send, Verdict
from payment_service.gateways.stripe.paths import CHARGE, OPERATIONS, route_of
from payment_service.key_store.contract import (
    Cause,
    KeyRecord,
    Order,
    Selection,
    StoreUnavailable,
)
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.observer import ALARMS, Observation, What
from payment_service.payments.record.follow_up import OrderEvent
from payment_service.payments.record.gateways import Leftover
from payment_service.payments.record.records import Records
from payment_service.payments.recovery.reconcile import Tally
from payment_service.telemetry.metrics.definitions import SPAN_OUTCOMES, MetricDefinitions
from payment_service.telemetry.metrics.prometheus import MeasuredStore, PrometheusMetrics
from payment_service.telemetry.metrics.reconcile_file import registry_of
from payment_service.telemetry.metrics.sampling import sample
from payment_service.web.errors import STATUSES
from tests.support.flow_bench import order_record

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


def test_several_gateways_are_told_apart(registry: CollectorRegistry) -> None:
    names = MetricDefinitions(registry, ("stripe", "paypal"))
    metrics = PrometheusMetrics(names, budget_seconds=20.0)
    lost = Verdict(Meaning.NO_ANSWER, again=True)
    metrics.send(Send("post", "/v1/payment_intents", 1, 0.1, None, None, lost), "stripe")
    made = Send("post", "/v2/checkout/orders/8FK5/capture", 1, 0.1, None, None, None)
    metrics.send(made, "paypal")
    metrics.circuit("stripe", is_open=True)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"payments_{name}", labels)

    sends = "stripe_sends_total"
    of_stripe = {"operation": "POST /v1/payment_intents", "gateway": "stripe"}
    capture = {"operation": "POST /v2/checkout/orders/:id/capture", "gateway": "paypal"}
    assert value(sends, outcome="no_answer", **of_stripe) == 1
    assert value(sends, outcome="ok", **of_stripe) == 0
    assert value(sends, outcome="ok", **capture) == 1
    assert value("stripe_send_seconds_count", **capture) == 1
    assert (value("circuit_open", gateway="stripe"), value("circuit_open", gateway="paypal")) == (
        1,
        0,
    )
    metrics.circuit("stripe", is_open=False)
    assert value("circuit_open", gateway="stripe") == 0


def test_leftovers_are_sampled_where_there_are_several_gateways(
    registry: CollectorRegistry,
) -> None:
    store, left = MemoryStore(), Leftover("stripe", 1, since=10.0, until=20.0)
    switched = order_record(Order(False, None, "A-1"), look_ups=(50.0,), leftovers=(left,))
    Records(store).claim(switched)
    sample(store, MetricDefinitions(registry, ("stripe", "paypal")), now=40.0)
    assert registry.get_sample_value("payments_leftovers") == 1


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
    down = {"operation": "ping", "cause": "timeout"}
    assert count("payments_store_failures_total", down) == 1


def test_unknown_orders_are_sampled(registry: CollectorRegistry, names: MetricDefinitions) -> None:
    store = MemoryStore()
    for each in (record("A-1", 50.0), record("A-2", 150.0), record("A-3", 10.0)):
        store.claim(each)
    sample(store, names, now=100.0)
    assert registry.get_sample_value("payments_unknown_orders") == 2
    assert registry.get_sample_value("payments_outbox_age_seconds") == 0.0


def test_a_refused_event_ages_although_each_try_puts_it_off(
    registry: CollectorRegistry, names: MetricDefinitions
) -> None:
    """Otherwise the alert for a receiver that is down would never fire."""
    store = MemoryStore()
    records = Records(store)
    for order_id, at, next_at in (("A-1", 1_000.0, 6_000.0), ("A-2", 4_000.0, 4_000.0)):
        event = OrderEvent("evt", "order.paid", at, {}, tries=12, next_at=next_at, until=9e9)
        records.claim(order_record(Order(False, None, order_id), queue=(event,)))
    records.claim(order_record(Order(False, None, "A-3"), look_ups=(10.0,)))
    sample(store, names, now=4_100.0)
    assert registry.get_sample_value("payments_outbox_age_seconds") == 3_100.0


def test_nothing_that_happens_adds_a_series(
    registry: CollectorRegistry, names: MetricDefinitions
) -> None:
    """Every labelled series exists at 0 before its first event."""
    metrics = PrometheusMetrics(names, budget_seconds=20.0)
    metrics.start_requests_at_zero(["/create-payment-intent"], STATUSES)
    before = samples(registry)
    assert set(before.values()) == {0.0}
    for what in get_args(What):
        metrics.observation(Observation(what, Order(False, None, "A-1"), 1))
    verdicts = [None, *(Verdict(meaning, again=False) for meaning in Meaning)]
    for (method, route), verdict in product(OPERATIONS, verdicts):
        path = route.replace(":id", "ch_1Ab" if route == CHARGE else "pi_1Ab")
        assert route_of(path) == route
        metrics.send(Send(method.lower(), path, 1, 0.1, None, None, verdict))
    for status in STATUSES:
        metrics.request("/create-payment-intent", status, 30.0)
        metrics.request(None, status, 30.0)
    for outcome in SPAN_OUTCOMES:
        metrics.spans(outcome, 1)
    claimed = record("A-1", 0.0)
    for cause in get_args(Cause):
        store = MeasuredStore(Unavailable(cause), names)
        for operation in (
            partial(store.claim, claimed),
            partial(store.read, claimed.order),
            partial(store.replace, claimed, claimed),
            partial(store.forget, claimed),
            partial(store.due, 0.0, 1),
            partial(store.page, Selection(livemode=False), 1),
            store.ping,
        ):
            with pytest.raises(StoreUnavailable):
                operation()
    after = samples(registry)
    assert after.keys() == before.keys()
    counted = {key for key in after if key[0].endswith(("_total", "_count"))}
    assert {key for key in counted if not after[key]} == set()


class Unavailable(MemoryStore):
    """A store of which every operation fails."""

    def __init__(self, cause: Cause) -> None:
        self.cause = cause

    def __getattribute__(self, name: str) -> Any:
        cause = object.__getattribute__(self, "cause")

        def fail(*_: object) -> None:
            raise StoreUnavailable(cause=cause)

        return fail


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample but the times of creation."""
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for metric in registry.collect()
        for each in metric.samples
        if not each.name.endswith("_created")
    }


def series(registry: CollectorRegistry) -> set[str]:
    """Every name that Prometheus can see."""
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    return {
        metric.name + ending for metric in registry.collect() for ending in endings[metric.type]
    }


def used_in(text: str) -> set[str]:
    return set(re.findall(r"\bpayments_\w+", text))


def test_the_dashboard_and_the_alerts_use_these_names(registry: CollectorRegistry) -> None:
    MetricDefinitions(registry, ("stripe", "paypal"))
    known = series(registry) | series(registry_of({"two_paid": 0}))
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    shown = {name for p in panels for t in p["targets"] for name in used_in(t["expr"])}
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    alarmed = {n for group in rules for rule in group["rules"] for n in used_in(rule["expr"])}
    assert shown <= known
    assert alarmed <= known
    roots = {re.sub("_(total|bucket|count|sum)$", "", name) for name in shown}
    assert roots == {re.sub("_(total|bucket|count|sum)$", "", name) for name in known}


def expressions() -> list[str]:
    """Every expression of the dashboard and of the alert rules."""
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return [*shown, *(rule["expr"] for group in rules for rule in group["rules"])]


# One matcher of a selector: what=~"a|b".
MATCHER = re.compile(r'(\w+)=(~?)\s*"([^"]+)"')


@pytest.mark.parametrize("expression", expressions())
def test_dashboard_and_alerts_select_series_that_exist(
    expression: str, registry: CollectorRegistry
) -> None:
    """A misspelt label value selects nothing, so that its alert never fires."""
    names = MetricDefinitions(registry, ("stripe", "paypal"))
    metrics = PrometheusMetrics(names, budget_seconds=20.0)
    metrics.start_requests_at_zero(["/create-payment-intent"], STATUSES)
    counts = {name: n for name, n in Tally().shown().items() if isinstance(n, int)}
    existing = [*samples(registry), *samples(registry_of(counts))]
    for name, selector in re.findall(r"(payments_\w+)\{([^}]*)\}", expression):
        for label, is_pattern, value in MATCHER.findall(selector):
            known = {dict(labels).get(label) for each, labels in existing if each == name}
            for each in value.split("|") if is_pattern else [value]:
                assert any(re.fullmatch(each, text or "") for text in known), (name, label, each)


def test_every_alert_has_its_chapter_in_the_handbook() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    handbook = (DEPLOY.parent / "docs" / "operations.md").read_text()
    alerts = [rule["alert"] for group in rules for rule in group["rules"]]
    assert sorted(re.findall("^### (Payments.*)$", handbook, re.MULTILINE)) == sorted(alerts)
    for group in rules:
        for rule in group["rules"]:
            assert rule["annotations"]["runbook_url"].endswith(f"#{rule['alert'].lower()}")


def test_every_event_of_an_order_that_needs_a_person_has_an_alert() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    alerted = " ".join(rule["expr"] for group in rules for rule in group["rules"])
    assert {what for what in ALARMS if f'"{what}"' not in alerted} == set()
