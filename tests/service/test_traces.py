"""Traces: two services, a stand-in for Stripe, a shop and a collector, all as processes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import Collector, ReceivedSpan
from tests.support.sandbox_process import SECRET_KEY, WEBHOOK_SECRET, SandboxProcess
from tests.support.scripted_server import ScriptedServer
from tests.support.service_process import COMMAND, ServiceProcess
from tests.support.shop import API_KEYS, bearer, clients_file, entry
from tests.support.shop_listener import ShopListener, until

SHOP_SECRET = "whsec_shop"

# The span of the shop's request, as its own tracing names it.
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"

CREATE = "POST /create-payment-intent"


@pytest.fixture(scope="module")
def stripe_box() -> Iterator[SandboxProcess]:
    with SandboxProcess() as running:
        yield running


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def traced_to(collector: Collector, name: str, delay_milliseconds: int = 100) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": name,
        "OTEL_BSP_SCHEDULE_DELAY": str(delay_milliseconds),
    }


def lines(service: ServiceProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]


@dataclass
class TwoServices:
    """Two services, `first` and `second`, on one store, with what they have said and sent."""

    first: ServiceProcess
    second: ServiceProcess
    shop: ShopListener
    collector: Collector


@pytest.fixture
def two(stripe_box: SandboxProcess, collector: Collector, tmp_path: Path) -> Iterator[TwoServices]:
    with ExitStack() as stack:
        shop = stack.enter_context(ShopListener())
        common = {
            "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db",
            "CLIENTS_FILE": str(clients_file(tmp_path, entry("shop-a"))),
            "ORDER_EVENTS_URL": shop.url,
            "ORDER_EVENTS_SECRET": SHOP_SECRET,
        }
        first, second = (
            stack.enter_context(
                ServiceProcess(stripe_box.url, {**common, **traced_to(collector, name)})
            )
            for name in ("first", "second")
        )
        stripe_box.webhooks(url=f"{first.url}/webhook", secret=WEBHOOK_SECRET)
        yield TwoServices(first, second, shop, collector)


def create(service: ServiceProcess, order_id: str) -> dict[str, Any]:
    body = {"order_id": order_id, "client_id": "shop-a", "amount": 1099}
    proof = bearer(API_KEYS["shop-a"])["Authorization"]
    found = service.post(
        "/create-payment-intent", body, Authorization=proof, traceparent=TRACEPARENT
    )
    assert found.status_code == 200, found.text
    answer: dict[str, Any] = found.json()
    return answer


def test_one_order_through_two_services_is_one_trace(
    two: TwoServices, stripe_box: SandboxProcess
) -> None:
    made = create(two.first, "A-1")
    again = create(two.second, "A-1")
    assert made["payment_intent_id"] == again["payment_intent_id"]
    collector = two.collector
    until(lambda: bool(collector.of("first", CREATE) and collector.of("second", CREATE)))
    (created,), (replayed,) = collector.of("first", CREATE), collector.of("second", CREATE)
    for span, outcome in ((created, "created"), (replayed, "replayed")):
        assert (span.trace, span.parent) == (TRACE, SPAN)
        assert span.attributes["payments.order_id"] == "A-1"
        assert span.attributes["payments.client_id"] == "shop-a"
        assert span.attributes["payments.outcome"] == outcome
        assert span.attributes["http.response.status_code"] == 200
    assert names_beneath(collector, created) == [
        "store claim",
        "POST /v1/payment_intents",
        "store replace",
    ]
    assert "store claim" in names_beneath(collector, replayed)
    assert "POST /v1/payment_intents" not in names_beneath(collector, replayed)


def test_order_event_carries_the_trace_of_its_delivery(
    two: TwoServices, stripe_box: SandboxProcess
) -> None:
    stripe_box.pay(create(two.first, "A-2")["payment_intent_id"])
    until(lambda: "A-2" in two.shop.orders("order.paid"))

    def posts() -> list[ReceivedSpan]:
        return [each for each in two.collector.spans() if each.name == "POST order event"]

    until(lambda: bool(posts()))
    (post,) = posts()
    (received,) = two.shop.traceparents
    assert received is not None
    assert received.startswith(f"00-{post.trace}-{post.id}-")
    until(lambda: bool(deliveries(two.collector)))
    (delivery,) = deliveries(two.collector)
    assert (delivery.id, delivery.parent) == (post.parent, "")
    assert delivery.attributes["payments.order_id"] == "A-2"
    assert delivery.attributes["payments.outcome"] == "event_delivered"
    until(lambda: bool(webhooks(two.collector, "A-2")))
    assert {each.parent for each in webhooks(two.collector, "A-2")} == {""}


def webhooks(collector: Collector, order_id: str) -> list[ReceivedSpan]:
    """The webhooks that changed the order."""
    found = collector.of("first", "POST /webhook")
    return [each for each in found if each.attributes.get("payments.order_id") == order_id]


def deliveries(collector: Collector) -> list[ReceivedSpan]:
    """The deliveries that posted: another worker may have lost the race for the event."""
    return [
        each
        for each in collector.spans()
        if each.name == "deliver order event" and "payments.outcome" in each.attributes
    ]


def names_beneath(collector: Collector, parent: ReceivedSpan) -> list[str]:
    found = [each for each in collector.spans() if each.parent == parent.id]
    assert {each.trace for each in found} == {parent.trace}
    return [each.name for each in found]


def test_log_lines_name_the_trace_beside_the_correlation_id(two: TwoServices) -> None:
    create(two.first, "A-3")
    until(lambda: bool(two.collector.of("first", CREATE)))
    (span,) = two.collector.of("first", CREATE)
    (line,) = [
        each for each in lines(two.first) if each["event"] == "request" and each["route"] in CREATE
    ]
    assert (line["trace_id"], line["order"]) == (TRACE, "A-3")
    assert line["correlation_id"] == span.attributes["payments.correlation_id"]


def test_spans_hold_no_secret_and_stripe_gets_no_trace(stripe_box: SandboxProcess) -> None:
    with Collector() as collector, ScriptedServer() as stripe:
        environ = {**traced_to(collector, "first"), "STRIPE_MAX_ATTEMPTS": "1"}
        with ServiceProcess(stripe.url, environ) as service:
            service.create("A-4", traceparent=TRACEPARENT, baggage="a=b")
            service.post(
                "/create-payment-intent",
                {"order_id": f"{SECRET_KEY}_x", "receipt_email": "ann@example.com", "amount": 5},
                traceparent=TRACEPARENT,
                User_Agent="a-shopper",
            )
            service.get("/payment-intent", order_id="hunter2")
            service.get("/hunter2")
            until(lambda: len(collector.of("first")) >= 8)
        sent = b"".join(collector.bodies)
    for secret in (SECRET_KEY, "whsec_", "ann@example.com", "hunter2", "a-shopper", "127.0.0.1"):
        assert secret.encode() not in sent, secret
    calls = b"".join(stripe.requests).lower()
    assert b"post /v1/payment_intents" in calls
    for header in (b"traceparent", b"tracestate", b"baggage", TRACE.encode()):
        assert header not in calls


def test_last_spans_arrive_when_the_workers_end(
    stripe_box: SandboxProcess, collector: Collector
) -> None:
    environ = traced_to(collector, "first", delay_milliseconds=60_000)
    with ServiceProcess(stripe_box.url, environ) as service:
        service.create("A-5")
        assert collector.spans() == []
    assert len(collector.of("first", CREATE)) == 1


@pytest.mark.parametrize("trouble", ["refuses", "hangs", "fails"])
def test_broken_collector_costs_neither_requests_nor_the_end(
    stripe_box: SandboxProcess, trouble: str
) -> None:
    status, delay = {"refuses": (200, 0.0), "hangs": (200, 60.0), "fails": (503, 0.0)}[trouble]
    with Collector(status, delay) as collector:
        if trouble == "refuses":
            collector.server_close()
        service = ServiceProcess(stripe_box.url, traced_to(collector, "first", 50))
        with service:
            slowest = max(timed(service, f"B-{trouble}-{number}") for number in range(20))
            until(lambda: trouble == "hangs" or bool(warnings(service)))
            began = time.monotonic()
            service.close_the_master()
            assert time.monotonic() - began < 15
            assert slowest < 1
            assert len(warnings(service)) <= 3 * 2, warnings(service)


def timed(service: ServiceProcess, order_id: str) -> float:
    began = time.monotonic()
    assert service.create(order_id).status_code == 200
    return time.monotonic() - began


def warnings(service: ServiceProcess) -> list[str]:
    return [
        f"{each['logger']}: {each['event']}"
        for each in lines(service)
        if each["level"] in ("warning", "error")
    ]


# As `opentelemetry-operator` and others set for every pod of a cluster.
OF_THE_CLUSTER = {"OTEL_SERVICE_NAME": "pod", "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=a"}
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        OF_THE_CLUSTER,
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    ],
    ids=["nothing", "cluster", "disabled", "none", "blank"],
)
def test_nothing_is_loaded_while_traces_are_off(
    stripe_box: SandboxProcess, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    """The workers print the modules that they have loaded when they end."""
    (tmp_path / "telling.py").write_text(
        "import atexit, sys\n"
        "from stripe_back_end_api import app\n"
        "atexit.register(lambda: print('LOADED', *sys.modules, flush=True))\n"
    )
    command = [*COMMAND[:-1], "--pythonpath", str(tmp_path), "telling:app"]
    service = ServiceProcess(stripe_box.url, environ, command=command)
    with service:
        assert service.create(f"C-{len(environ)}").status_code == 200
        service.close_the_master()
        loaded = [line for line in service.log().splitlines() if line.startswith("LOADED")]
        (start,) = [each for each in lines(service) if each["event"] == "the service starts"]
    assert len(loaded) >= 2
    assert "stripe_back_end_api" in loaded[0]
    for line in loaded:
        assert not [name for name in line.split() if name.startswith("opentelemetry")]
        assert "payment_service.telemetry.tracing.spans" not in line.split()
    assert start["traces"] == "off"


def test_missing_package_is_one_warning_and_stops_nothing(
    stripe_box: SandboxProcess, tmp_path: Path
) -> None:
    package = tmp_path / "opentelemetry"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'opentelemetry'\", name='opentelemetry')\n"
    )
    environ = {**ENDPOINT, "PYTHONPATH": str(tmp_path)}
    with ServiceProcess(stripe_box.url, environ) as service:
        assert service.create("D-1").status_code == 200
        assert warnings(service) == [
            "payment_service.telemetry.tracing.opening: traces are off: "
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but opentelemetry is missing: "
            "pip install '.[tracing]'"
        ]


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "nonsense"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "nonsense"},
        {**ENDPOINT, "OTEL_PROPAGATORS": "nonsense"},
        {**ENDPOINT, "OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
    ],
    ids=lambda environ: list(environ)[-1],
)
def test_malformed_variable_is_a_warning_and_stops_nothing(
    stripe_box: SandboxProcess, environ: Mapping[str, str]
) -> None:
    with ServiceProcess(stripe_box.url, environ) as service:
        assert service.create(f"E-{list(environ)[-1]}").status_code == 200
        found = warnings(service)
    assert any("traces are off" in each for each in found), found


def test_deliver_command_makes_traces(
    stripe_box: SandboxProcess, collector: Collector, tmp_path: Path
) -> None:
    with ShopListener() as shop:
        environ = {
            **traced_to(collector, "first", delay_milliseconds=60_000),
            "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db",
            "ORDER_EVENTS_URL": shop.url,
            "ORDER_EVENTS_SECRET": SHOP_SECRET,
            "ORDER_EVENTS_DELIVERY": "separate",
        }
        with ServiceProcess(stripe_box.url, environ) as service:
            stripe_box.webhooks(url=f"{service.url}/webhook", secret=WEBHOOK_SECRET)
            stripe_box.pay(service.create("G-1").json()["payment_intent_id"])
            until(lambda: service.get("/payment-intent", order_id="G-1").json()["paid"])
            assert "1 delivered" in service.command("deliver", "--once")
        (received,) = shop.traceparents
    (delivery,) = deliveries(collector)
    assert received is not None
    assert received.split("-")[1] == delivery.trace


def test_server_that_forks_after_loading_traces_its_children(
    stripe_box: SandboxProcess, collector: Collector
) -> None:
    command = [sys.executable, "-m", "gunicorn", "--preload", "stripe_back_end_api:app"]
    environ = traced_to(collector, "first")
    with ServiceProcess(stripe_box.url, environ, command=command) as service:
        for number in range(8):
            service.create(f"F-{number}")
        until(lambda: len(collector.of("first", CREATE)) == 8)
