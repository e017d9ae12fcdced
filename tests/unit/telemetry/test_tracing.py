"""Spans: their names, parents and attributes, and the secrets that they leave out."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from payment_service.gateways.send_report import Meaning, Send, Verdict
from payment_service.key_store.contract import KeyRecord, Order, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.outage import QUIET_SECONDS
from payment_service.payments.observer import Observation
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.shop_events.outbox import NotAnswered
from payment_service.settings import otel
from payment_service.telemetry.formatters import JsonLines, trace_id
from payment_service.telemetry.tracing import opening
from payment_service.telemetry.tracing.exports import Exports
from payment_service.telemetry.tracing.none import NoTracing
from payment_service.telemetry.tracing.spans import Tracing
from tests.support.flow_bench import order_record

ORDER = Order(False, "shop-a", "A-1")
TRACE, SPAN = "a" * 32, "b" * 16
ROUTES = {"/create-payment-intent", "/healthz"}


class Spans:
    """Traces, and the spans that they made so far."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider.get_tracer("test"))

    def ended(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def only(self) -> ReadableSpan:
        (span,) = self.ended()
        return span

    def request(self, inside: Any = lambda: None, status: str = "200 OK", **environ: str) -> None:
        """Serve a request that calls `inside`."""

        def app(_: Any, start_response: Any) -> Iterable[bytes]:
            inside()
            start_response(status, [("X-Request-ID", "r-1"), ("Other", "x")])
            return [b""]

        given = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/create-payment-intent",
            "HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01",
            **environ,
        }
        list(self.tracing.traced_app(app, ROUTES)(given, lambda *_: lambda _: None))


@pytest.fixture
def spans() -> Spans:
    return Spans()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def send(
    verdict: Verdict | None = None, path: str = "/v1/payment_intents", number: int = 1
) -> Send:
    status = verdict.status if verdict else 200
    facts = (path, number, 0.25, "req_1", "order-secret", verdict, None, "a sentence", status)
    return Send("post", *facts)


def test_request_continues_the_callers_trace(spans: Spans) -> None:
    spans.request()
    span = spans.only()
    assert (span.name, span.kind) == ("POST /create-payment-intent", SpanKind.SERVER)
    assert span.parent is not None
    assert span.context is not None
    assert format_trace_id(span.context.trace_id) == TRACE
    assert format_span_id(span.parent.span_id) == SPAN
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/create-payment-intent",
        "http.response.status_code": 200,
        "payments.correlation_id": "r-1",
    }


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{'0' * 32}-{SPAN}-01", "x" * 9_000])
def test_malformed_traceparent_begins_a_trace(spans: Spans, traceparent: str) -> None:
    spans.request(HTTP_TRACEPARENT=traceparent)
    assert spans.only().parent is None


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [("GET", "/sk_test_hunter2", "GET"), ("HUNTER2", "/x?hunter2", "_OTHER")],
)
def test_unknown_path_and_method_are_not_in_the_span(
    spans: Spans, method: str, path: str, name: str
) -> None:
    spans.request(REQUEST_METHOD=method, PATH_INFO=path, QUERY_STRING="hunter2=1")
    assert spans.only().name == name
    assert "hunter2" not in spans.only().to_json()


def test_probes_of_load_balancers_have_no_span(spans: Spans) -> None:
    spans.request(PATH_INFO="/healthz")
    assert spans.ended() == ()


@pytest.mark.parametrize(("status", "failed"), [("503 X", True), ("402 X", False)])
def test_request_fails_with_a_status_of_the_server(spans: Spans, status: str, failed: bool) -> None:
    spans.request(status=status)
    assert spans.only().status.is_ok is not failed
    assert attributes(spans.only()).get("error.type") == ("503" if failed else None)


def test_span_ends_also_if_the_application_raises(spans: Spans) -> None:
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        spans.request(fail)
    assert spans.only().end_time
    assert trace_id.get() is None


def test_store_operations_are_spans_within_a_request_only(spans: Spans) -> None:
    store = spans.tracing.traced_store(MemoryStore(), "rediss")
    record = KeyRecord(ORDER, 1, "f", "{}", "pending", "me", 0.0, 0.0, 0.0)

    def work() -> None:
        store.claim(record)
        store.read(ORDER)
        store.replace(record, record)
        store.forget(record)
        store.due(0.0, 1)
        list(store.scan())
        store.ping()

    work()
    assert spans.ended() == ()
    spans.request(work)
    *operations, request = spans.ended()
    assert [each.name for each in operations] == [
        "store claim",
        "store read",
        "store replace",
        "store forget",
    ]
    assert all(each.parent == request.context for each in operations)
    assert {attributes(each)["db.system.name"] for each in operations} == {"redis"}


def test_failed_store_operation_has_its_cause(spans: Spans) -> None:
    class Down(MemoryStore):
        def read(self, order: Order) -> KeyRecord | None:
            raise StoreUnavailable("password hunter2", "read_only")

    store = spans.tracing.traced_store(Down(), "sqlite")
    with pytest.raises(StoreUnavailable):
        spans.request(lambda: store.read(ORDER))
    assert attributes(spans.ended()[0])["error.type"] == "read_only"
    assert "hunter2" not in spans.ended()[0].to_json()


def test_each_send_is_a_span_with_its_time(spans: Spans) -> None:
    limited = Verdict(Meaning.LIMITED, again=True, status=429)
    lost = Verdict(Meaning.NO_ANSWER, again=True)
    spans.tracing.send(send())
    assert spans.ended() == ()
    sends = send(limited), send(lost, number=2)
    spans.request(lambda: deque(map(spans.tracing.send, sends)))
    first, second, request = spans.ended()
    assert (first.name, first.kind, first.parent) == (
        "POST /v1/payment_intents",
        SpanKind.CLIENT,
        request.context,
    )
    assert first.start_time
    assert first.end_time
    assert first.end_time - first.start_time == pytest.approx(0.25e9)
    assert attributes(first) == {
        "http.request.method": "POST",
        "url.template": "/v1/payment_intents",
        "http.response.status_code": 429,
        "payments.gateway_request_id": "req_1",
        "error.type": "limited",
    }
    assert attributes(second)["http.request.resend_count"] == 1
    assert attributes(second)["error.type"] == "no_answer"
    assert "http.response.status_code" not in attributes(second)


def test_unknown_address_of_a_gateway_is_not_in_the_span(spans: Spans) -> None:
    spans.request(lambda: spans.tracing.send(send(path="/v1/hunter2")))
    assert spans.ended()[0].name == "POST"
    assert "hunter2" not in spans.ended()[0].to_json()


def test_request_names_its_order_and_its_events(spans: Spans) -> None:
    order = Order(False, "shop-a", "sk_test_hunter2")
    spans.tracing.observation(Observation("claimed", order, 1))
    seen = [Observation("claimed", order, 1), Observation("created", order, 2, {"id": "pi_1"})]
    spans.request(lambda: deque(map(spans.tracing.observation, seen)))
    found = attributes(spans.only())
    assert found["payments.order_id"] == "[redacted]"
    assert (found["payments.client_id"], found["payments.outcome"]) == ("shop-a", "created")
    assert found["payments.attempt"] == 2
    assert [event.name for event in spans.only().events] == ["claimed", "created"]


class Job:
    """A job that posts an event."""

    def __init__(self, post: Any) -> None:
        self._post = post

    def due(self, limit: int) -> list[OrderRecord]:
        return []

    def run(self, record: OrderRecord) -> bool:
        with suppress(NotAnswered):
            return bool(self._post(record.order, b"{}"))
        return False


@pytest.mark.parametrize(
    ("status", "kind"), [(200, None), (500, "500"), (302, "302"), (None, "no_answer")]
)
def test_post_of_an_event_carries_the_trace_of_its_job(
    spans: Spans, status: int | None, kind: str | None
) -> None:
    sent: list[dict[str, str]] = []

    def post(_: Order, __: bytes) -> int:
        sent.append(dict(spans.tracing.outgoing_headers()))
        if status is None:
            raise NotAnswered("Empty reply from server", "wait")
        return status

    job = spans.tracing.traced_job(Job(spans.tracing.traced_post(post)), "deliver")
    spans.request(lambda: job.run(order_record(ORDER)))
    posted, delivery, request = spans.ended()
    assert delivery.context is not None
    assert request.context is not None
    assert delivery.parent is None
    assert delivery.context.trace_id != request.context.trace_id
    assert (posted.parent, posted.name) == (delivery.context, "POST order event")
    assert posted.context is not None
    trace, span = posted.context.trace_id, posted.context.span_id
    (headers,) = sent
    assert list(headers) == ["traceparent"]
    assert headers["traceparent"].startswith(f"00-{trace:032x}-{span:016x}-")
    assert attributes(posted).get("error.type") == kind
    assert attributes(delivery)["payments.order_id"] == "A-1"


def test_log_lines_of_a_request_name_its_trace(spans: Spans) -> None:
    def line() -> dict[str, Any]:
        record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "m", "created": 0})
        found: dict[str, Any] = json.loads(JsonLines().format(record))
        return found

    seen: list[dict[str, Any]] = []
    spans.request(lambda: seen.append(line()))
    assert seen[0]["trace_id"] == TRACE
    assert "trace_id" not in line()


def test_without_tracing_everything_is_handed_back() -> None:
    tracing, store, job = NoTracing(), MemoryStore(), Job(None)
    app: Any = object()
    post: Any = object()
    assert tracing.traced_app(app, ROUTES) is app
    assert tracing.traced_store(store, "memory") is store
    assert tracing.traced_job(job, "x") is job
    assert tracing.traced_post(post) is post
    assert tracing.outgoing_headers() == {}


class Broken(SpanExporter):
    """An exporter that returns or raises the given results, and logs as the SDK's do."""

    def __init__(self, *results: SpanExportResult | Exception) -> None:
        self._results = list(results)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._results.pop(0)
        if result is SpanExportResult.FAILURE:
            logging.getLogger(__name__).warning("Transient error %s", "refused")
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def own_filters() -> Iterator[None]:
    yield
    logging.getLogger(__name__).filters.clear()


@pytest.mark.usefixtures("own_filters")
def test_broken_collector_is_logged_once_and_its_recovery(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    now, counted = [100.0], list[tuple[str, int]]()
    failure, success = SpanExportResult.FAILURE, SpanExportResult.SUCCESS
    exports = Exports(
        Broken(success, failure, failure, OSError("x"), success, success),
        lambda outcome, number: counted.append((outcome, number)),
        lambda: now[0],
    )
    given: Any = [None, None]
    assert [exports.export(given) for _ in range(4)] == [success, failure, failure, failure]
    now[0] += QUIET_SECONDS
    assert [exports.export(given) for _ in range(2)] == [success, success]
    assert caplog.messages == [
        "Transient error refused",
        "traces are lost: the collector does not take them",
        "the exporter of traces failed",
        "the collector takes traces again",
    ]
    assert counted == [("exported", 2), *[("failed", 2)] * 3, *[("exported", 2)] * 2]


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("environ", "asking"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, None),
        (ENDPOINT, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": " "}, None),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_variables_of_the_sdk_ask_for_traces(
    environ: dict[str, str], asking: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    assert otel.asks_for_traces() == asking
    assert opening.state() == ("off" if asking is None else "on")


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, ["otlp_proto_http", "console"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ["otlp_proto_http"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"]),
    ],
)
def test_exporters_have_the_names_of_their_packages(
    environ: dict[str, str], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    assert otel.traces_exporters() == names


def test_missing_exporter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    assert opening.state() == "off: no package that is installed has the exporter zipkin"


def test_dotenv_has_the_variables_too(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OTEL_A=file\nOTEL_B=file\nOTEL_C=\nOTHER=1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_A", "process")
    assert otel.otel_of_dotenv() == {"OTEL_B": "file"}


def test_service_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opening._resource().attributes["service.name"] == opening.NAME
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    assert opening._resource().attributes["service.name"] == "mine"
