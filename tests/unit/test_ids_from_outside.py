"""Ids that events, records and answers bring: each has a form, and asks Stripe for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.send_report import Send
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.events import payment_event
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.intents import UnreadableIntent, read_intent
from payment_service.gateways.stripe.paths import (
    CANCEL,
    CAPTURE,
    CHARGE,
    DISPUTES,
    INTENT,
    INTENTS,
    OPERATIONS,
    OTHER,
    REFUNDS,
    SEARCH,
    charge_path,
    path_of,
    route_of,
)
from payment_service.telemetry.metrics.definitions import MetricDefinitions
from payment_service.telemetry.metrics.prometheus import PrometheusMetrics
from tests.support.sandbox_transport import SandboxTransport

ODD = [
    "search?query=x",
    "../customers/cus_1",
    "pi_1/cancel",
    "pi_1/../../customers",
    "pi_1?expand[]=customer",
    "pi_1#",
    "pi_%2e%2e",
    "pi_\u0661",
    "pi_1\n",
    "pi_1\x00",
    "pi_",
    "pi_" + "a" * 300,
    "cus_1",
    "PI_1",
    "",
    " pi_1",
]


def event(**changes: Any) -> dict[str, Any]:
    metadata = {
        "order_id": changes.pop("order_id", "A-1"),
        "client_id": changes.pop("client", None),
    }
    subject = {"id": changes.pop("intent_id", "pi_1"), "metadata": metadata}
    said = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": subject}}
    return {**said, **changes}


def test_an_event_in_order_is_read() -> None:
    assert payment_event(event()) is not None


@pytest.mark.parametrize("odd", [*ODD, None, 7, [], {}])
def test_an_event_about_no_intent_is_about_no_order(odd: Any) -> None:
    assert payment_event(event(intent_id=odd)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"},
        {"id": "evt_" + "a" * 300},
        {"id": "evt_1\n"},
        {"id": 7},
        {"type": "payment_intent." + "a" * 100},
        {"type": "payment_intent.x\r\ny"},
        {"order_id": "A" * 201},
        {"order_id": ""},
        {"order_id": " "},
        {"order_id": 7},
        {"client": "x" * 201},
        {"client": "\ud800"},
    ],
)
def test_an_event_of_another_form_is_about_no_order(change: dict[str, Any]) -> None:
    assert payment_event(event(**change)) is None


@pytest.mark.parametrize("odd", ODD)
def test_an_answer_with_an_odd_id_is_unreadable(odd: str) -> None:
    with pytest.raises(UnreadableIntent):
        read_intent({"id": odd, "client_secret": "pi_1_secret_x"})


@pytest.mark.parametrize("odd", ODD)
def test_no_path_is_built_of_an_odd_id(odd: str) -> None:
    for route in (INTENT, CANCEL):
        with pytest.raises(NoSuchIntent):
            path_of(route, odd)


@pytest.mark.parametrize("odd", ODD)
def test_a_gateway_sends_nothing_for_an_odd_id(odd: str) -> None:
    """A record may hold one, too."""
    sent: list[Send] = []
    gateway = StripeGateway(
        "sk_test_x", SandboxTransport.__new__(SandboxTransport), report=sent.append
    )
    soon = Deadline.after(1)
    for ask in (
        lambda: gateway.retrieve(odd, soon),
        lambda: gateway.cancel(odd, "duplicate", soon),
        lambda: gateway.update(odd, SentParams("v", {}), "key", soon),
        lambda: gateway.capture(odd, SentParams("v", {}), "key", soon),
        lambda: gateway.refund(odd, SentParams("v", {}), "key", soon),
        lambda: gateway.list_refunds(odd, soon),
        lambda: gateway.list_disputes(odd, soon),
    ):
        with pytest.raises(NoSuchIntent):
            ask()
    assert sent == []


def test_a_metric_s_label_is_one_of_a_closed_set() -> None:
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(MetricDefinitions(registry), budget_seconds=20.0)
    paths = [f"{INTENTS}/{odd}{verb}" for odd in ODD for verb in ("", "/cancel", "/capture")]
    paths += [f"/v1/charges/{odd}" for odd in ODD] + [f"/v1/refunds/{odd}" for odd in ODD]
    for path in (*paths, "/v1/customers/cus_1", "/v1/payment_intents/pi_1", INTENTS, SEARCH):
        metrics.send(Send("get", path, 1, 0.1, None, None, None))
    found = {
        sample.labels["operation"]
        for metric in registry.collect()
        for sample in metric.samples
        if "operation" in sample.labels and sample.name.startswith("payments_stripe_sends")
    }
    known = {f"{method} {route}" for method, route in OPERATIONS}
    assert found <= known | {f"GET {route}" for route in (CANCEL, CAPTURE, OTHER)}


def test_a_path_is_counted_by_its_route() -> None:
    for route in (INTENT, CANCEL, CAPTURE):
        assert route_of(path_of(route, "pi_3QabC")) == route
    for charge_id in ("ch_3QabC", "py_3QabC"):
        assert route_of(charge_path(charge_id)) == CHARGE
    for route in (INTENTS, SEARCH, REFUNDS, DISPUTES):
        assert route_of(route) == route
