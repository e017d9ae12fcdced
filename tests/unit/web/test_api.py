"""The HTTP layer: the contract's table row by row, one error shape, and nothing leaks."""

from __future__ import annotations

import gzip
import io
import logging
from typing import Any

import pytest
from werkzeug.test import TestResponse

from payment_service import errors
from payment_service.errors import Forbidden, PaymentError, TooManyRequests, Unauthorized
from payment_service.payments.record.races import RecordChanged
from payment_service.schema.secret import Secret
from tests.support.fake_payments import CLIENT_SECRET, Answer, FakePayments, client_of

ORDER = {"amount": 100, "order_id": "A-1"}
PATH = "/create-payment-intent"
FAILED = "Failed to create payment intent"


def ask(error: Exception) -> TestResponse:
    return client_of(FakePayments(error=error)).post(PATH, json=ORDER)


def test_a_new_order_gets_its_payment_intent() -> None:
    payments = FakePayments()
    response = client_of(payments).post(PATH, json=ORDER)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert list(response.get_json().items()) == [
        ("payment_intent_id", "pi_1"),
        ("client_secret", CLIENT_SECRET),
        ("status", "requires_payment_method"),
    ]
    assert "Idempotent-Replayed" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    assert [(asked.amount, asked.order_id) for asked in payments.asked] == [(100, "A-1")]


def test_a_known_order_says_that_it_is_replayed() -> None:
    answer = Answer(status="succeeded", replayed=True)
    response = client_of(FakePayments(answer)).post(PATH, json=ORDER)
    assert response.headers["Idempotent-Replayed"] == "true"
    assert response.get_json()["status"] == "succeeded"


LINK = "https://www.paypal.com/checkoutnow?token=8FK5"


@pytest.mark.parametrize(
    ("answer", "more"),
    [
        (Answer(), {"gateway": "stripe"}),
        (
            Answer("8FK5", None, "requires_action", gateway="paypal", redirect_url=LINK),
            {"gateway": "paypal", "redirect_url": LINK},
        ),
        (Answer("8FK5", None, "succeeded", gateway="paypal"), {"gateway": "paypal"}),
    ],
)
def test_gateway_is_named_to_those_who_accept_several(answer: Answer, more: dict[str, str]) -> None:
    client = client_of(FakePayments(answer))
    named = client.post(PATH, json={**ORDER, "accept_gateways": ["stripe", "paypal"]}).get_json()
    plain = client.post(PATH, json=ORDER).get_json()
    assert list(plain) == ["payment_intent_id", "client_secret", "status"]
    assert list(named.items()) == [*plain.items(), *more.items()]


def test_gateway_that_is_not_accepted_is_named() -> None:
    answer = ask(errors.GatewayNotAccepted("paypal")).get_json()
    assert answer == {
        "error": "This order's payment is at PayPal: send accept_gateways with paypal, or cancel "
        "the order first.",
        "code": "gateway_not_accepted",
        "action": "fix_request",
        "gateway": "paypal",
    }


ROWS = [
    (errors.BadRequest("x", code="malformed_json"), 400, "malformed_json", "fix_request"),
    (errors.BadRequest("x", code="missing_parameter"), 400, "missing_parameter", "fix_request"),
    (errors.BadRequest("x"), 400, "invalid_parameter", "fix_request"),
    (errors.Refused("x", code="amount_too_small"), 400, "amount_too_small", "fix_request"),
    (errors.CardRefused("x", code="card_declined"), 402, "card_declined", "fix_request"),
    (errors.BadRequest("x", code="too_large"), 413, "too_large", "fix_request"),
    (errors.BadRequest("x", code="not_json"), 415, "not_json", "fix_request"),
    (errors.BadRequest("x", code="encoded_body"), 415, "encoded_body", "fix_request"),
    (errors.NotFound("x"), 404, "not_found", "fix_request"),
    (errors.Changed("x"), 409, "changed", "fix_request"),
    (errors.NoLongerOpen("succeeded"), 409, "payment_succeeded", "fix_request"),
    (errors.NotPaid("processing"), 409, "not_paid", "fix_request"),
    (errors.NotAuthorized("succeeded"), 409, "not_authorized", "fix_request"),
    (errors.AlreadyCaptured(700), 409, "already_captured", "fix_request"),
    (errors.RefundReused("x"), 422, "refund_reused", "fix_request"),
    (errors.GatewayNotAccepted("paypal"), 409, "gateway_not_accepted", "fix_request"),
    (errors.AlreadyPaid("paypal"), 409, "already_paid", "stop"),
    (errors.InFlight("x"), 409, "in_flight", "retry_same"),
    (RecordChanged(), 409, "in_flight", "retry_same"),
    (errors.OrderReused("x"), 422, "order_reused", "fix_request"),
    (errors.RateLimited("x"), 429, "stripe_rate_limited", "retry_same"),
    (errors.Misconfigured("x"), 500, "misconfigured", "stop"),
    (errors.GatewayFailed("x"), 502, "stripe_error", "retry_same"),
    (errors.GatewayUnreachable("x"), 503, "stripe_unreachable", "retry_same"),
    (errors.StoreDown("x"), 503, "store_unavailable", "retry_same"),
    (errors.Overloaded("x"), 503, "overloaded", "retry_same"),
    (Unauthorized("x"), 401, "unauthorized", "fix_request"),
    (Forbidden("x"), 403, "forbidden", "fix_request"),
    (TooManyRequests("x"), 429, "too_many_requests", "retry_same"),
    (errors.PaymentError("x"), 500, "internal", "stop"),
    (RuntimeError("x"), 500, "internal", "stop"),
]


def test_every_route_with_a_body_names_the_coding_that_it_rejects() -> None:
    client = client_of(FakePayments(), stripe_webhook_secret=Secret("whsec_x"))
    routes = [
        rule.rule
        for rule in client.application.url_map.iter_rules()
        if "POST" in (rule.methods or set())
    ]
    assert {PATH, "/webhook", "/update-payment-intent", "/cancel-payment-intent"} <= set(routes)
    for route in routes:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        answer = client.post(route, data=gzip.compress(b"{}"), headers=headers)
        assert answer.status_code == 415, route
        found = answer.get_json()
        assert (found["code"], found["action"]) == ("encoded_body", "fix_request")
        assert "Content-Encoding: gzip" in found["error"]
        assert answer.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(("error", "status", "code", "action"), ROWS)
def test_every_error_has_its_row(error: Exception, status: int, code: str, action: str) -> None:
    response = ask(error)
    assert response.status_code == status
    assert response.content_type == "application/json"
    found = response.get_json()
    assert (found["code"], found["action"]) == (code, action)
    assert set(found) - set(getattr(error, "facts", {})) == {"error", "code", "action"}
    assert found["error"].startswith(FAILED) == (status >= 500)
    if action == "retry_same":
        assert int(response.headers["Retry-After"]) >= 1
    else:
        assert "Retry-After" not in response.headers


def test_the_error_tree_has_no_class_without_a_row() -> None:
    """A new error class without a status would return 500 with the action stop."""
    found = [PaymentError]
    for kind in found:
        found += kind.__subclasses__()
    assert {type(error) for error, *_ in ROWS} == {*found, RuntimeError}


@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (1.0, "1"), (1.2, "2"), (30, "30")])
def test_retry_after_is_in_whole_seconds(seconds: float, header: str) -> None:
    response = ask(errors.InFlight("x", retry_after_seconds=seconds))
    assert response.headers["Retry-After"] == header


def test_the_request_id_of_stripe_is_handed_on() -> None:
    response = ask(errors.Refused("x", code="amount_too_small", request_id="req_1"))
    assert response.get_json()["request_id"] == "req_1"


def test_a_message_that_already_says_it_failed_is_left_alone() -> None:
    message = f"{FAILED}: Stripe does not answer"
    assert ask(errors.GatewayUnreachable(message)).get_json()["error"] == message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("sk_live_abc123 pi_1_secret_2 postgresql://me:pw@10.0.0.7/db"),
        errors.Refused("Invalid key sk_test_abc123"),
        errors.Refused("pi_1_secret_2 is of whsec_abc123"),
        errors.StoreDown("postgresql://me:pw@store/db does not answer"),
    ],
)
def test_no_secret_leaves_in_a_body_or_a_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    body = ask(error).get_data(as_text=True)
    for secret in ("abc123", "_secret_", "me:pw", "10.0.0.7", "Traceback"):
        assert secret not in body


def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        ask(ZeroDivisionError("a bug"))
    assert "ZeroDivisionError: a bug" in caplog.text


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=UTF-8", 200),
        ("application/json; charset=latin-1", 415),
        ("application/json-patch+json", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
        (None, 415),
    ],
)
def test_only_json_in_utf_8_is_read(content_type: str | None, status: int) -> None:
    payments = FakePayments()
    body = b'{"amount": 100, "order_id": "A-1"}'
    response = client_of(payments).post(PATH, data=body, content_type=content_type)
    assert response.status_code == status
    if status == 415:
        found = response.get_json()
        assert (found["code"], found["action"]) == ("not_json", "fix_request")
        assert payments.asked == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", PATH, {"OPTIONS", "POST"}),
        ("PUT", PATH, {"OPTIONS", "POST"}),
        ("DELETE", PATH, {"OPTIONS", "POST"}),
        ("POST", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/config", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_405_lists_the_allowed_methods(method: str, path: str, allow: set[str]) -> None:
    response = client_of(FakePayments()).open(path, method=method)
    assert response.status_code == 405
    assert response.content_type == "application/json"
    assert set(response.headers["Allow"].split(", ")) == allow
    found = response.get_json()
    assert (found["code"], found["action"]) == ("method_not_allowed", "fix_request")


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", f"{PATH}/", f"/{PATH}", "/static/x", "/Create-Payment-Intent", "/%00", "/é"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_not_found(method: str, path: str) -> None:
    response = client_of(FakePayments()).open(path, method=method)
    assert response.status_code == 404
    assert response.content_type == "application/json"
    found = response.get_json()
    assert (found["code"], found["action"]) == ("not_found", "fix_request")


def test_options_and_head_are_answered() -> None:
    client = client_of(FakePayments())
    options = client.options(PATH)
    assert (options.status_code, options.data) == (200, b"")
    assert set(options.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert client.head(PATH).status_code == 405
    head = client.head("/healthz")
    assert (head.status_code, head.data) == (200, b"")


@pytest.mark.parametrize("size", [64 * 1024 + 1, 2 * 1024 * 1024])
def test_a_chunked_body_has_the_same_limit(size: int) -> None:
    """As gunicorn hands over a chunked body: no Content-Length, and the stream ends itself."""
    payments = FakePayments()
    environ: dict[str, Any] = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    response = client_of(payments).post(
        PATH,
        input_stream=io.BytesIO(b" " * size),
        content_type="application/json",
        environ_overrides=environ,
    )
    assert response.status_code == 413
    assert response.get_json()["code"] == "too_large"
    assert payments.asked == []


def test_a_chunked_body_is_read() -> None:
    response = client_of(FakePayments()).post(
        PATH,
        input_stream=io.BytesIO(b'{"amount": 100, "order_id": "A-1"}'),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert response.status_code == 200


def test_health_does_not_ask_the_payments() -> None:
    response = client_of(FakePayments(error=errors.StoreDown("x"))).get("/healthz")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_ready_while_the_store_answers() -> None:
    response = client_of(FakePayments()).get("/readyz")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_not_ready_while_it_does_not() -> None:
    response = client_of(FakePayments(error=errors.StoreDown("x", "read_only"))).get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["code"] == "store_unavailable"
    assert response.get_json()["cause"] == "read_only"
    assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize("key", ["pk_test_1", None])
def test_config_hands_out_the_publishable_key(key: str | None) -> None:
    response = client_of(FakePayments(), stripe_publishable_key=key).get("/config")
    assert response.get_json() == {"publishable_key": key}


def test_a_harmless_request_id_is_kept() -> None:
    response = client_of(FakePayments()).get("/healthz", headers={"X-Request-ID": "a-1.B_2"})
    assert response.headers["X-Request-ID"] == "a-1.B_2"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, '{"a":1}', "é"])
def test_any_other_is_replaced(sent: str) -> None:
    response = client_of(FakePayments()).get("/healthz", headers={"X-Request-ID": sent})
    assert len(response.headers["X-Request-ID"]) == 32


def test_each_request_is_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ask(errors.OrderReused("x"))
    (line,) = [record for record in caplog.records if record.name == "requests"]
    facts = vars(line)["facts"]
    assert (facts["route"], facts["status"], facts["code"]) == (PATH, 422, "order_reused")
