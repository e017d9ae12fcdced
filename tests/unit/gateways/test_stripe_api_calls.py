"""We send what the SDK would send, and read answers of any shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payment_service.gateways.calls import Answer, Call
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy, SendFailed
from payment_service.gateways.send import Sender
from payment_service.gateways.send_report import Meaning, Send
from payment_service.gateways.stripe.api_calls import (
    ErrorAnswer,
    StripeApi,
    encoded,
    read_answer,
)
from payment_service.gateways.stripe.send import StripeSends
from payment_service.http_client.connection import Response
from payment_service.http_client.failures import HttpFailure, NeverSent

VERSION = "2026-01-01"

# The SDK's headers about itself and the machine. Ours come from the HTTP client.
OF_THE_SDK = {"User-Agent", "X-Stripe-Client-User-Agent"}


class Recorder(stripe.HTTPClient):
    """An HTTP client for the SDK and for us. It records each request."""

    name = "requests"

    def __init__(self, answer: Response | HttpFailure | None = None) -> None:
        super().__init__()
        self.answer = answer or Response(200, {}, b'{"id": "pi_1"}')
        self.sent: list[tuple[str, str, Mapping[str, str], str]] = []

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        said = {name: text for name, text in headers.items() if name not in OF_THE_SDK}
        self.sent.append((method.upper(), url, said, post_data or ""))
        return "{}", 200, {}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, ends_at: float
    ) -> Response:
        self.sent.append((method, url, headers, (body or b"").decode()))
        if isinstance(self.answer, HttpFailure):
            raise self.answer
        return self.answer

    def close(self) -> None:
        return


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch the SDK's telemetry off: it would add the duration of the last request."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.mark.parametrize(
    ("method", "path", "params", "key"),
    [
        ("post", "/v1/payment_intents", {"amount": 1, "metadata": {"order_id": "ä b"}}, "key-1"),
        ("post", "/v1/payment_intents/pi_1/cancel", {"cancellation_reason": "abandoned"}, "key-2"),
        ("get", "/v1/payment_intents/pi_1", {}, None),
        ("get", "/v1/payment_intents", {"limit": 100, "created": {"gte": 5}}, None),
        ("get", "/v1/payment_intents/search", {"query": "metadata['a']:'ä\\''"}, None),
    ],
)
@pytest.mark.parametrize("account", [None, "acct_1"])
@pytest.mark.parametrize("base", ["https://api.stripe.com", "http://127.0.0.1:12111"])
def test_request_equals_the_sdk_request(
    method: str, path: str, params: dict[str, Any], key: str | None, account: str | None, base: str
) -> None:
    recorder = Recorder()
    api = StripeApi(recorder, "sk_test_x", "2025-01-01", base, account)
    api.send(Call(method, path, params, key, VERSION), 0.0)
    client = stripe.StripeClient(
        "sk_test_x",
        http_client=recorder,
        stripe_account=account,
        base_addresses={"api": base},
    )
    keyed = {"idempotency_key": key} if key else {}
    client.raw_request(method, path, **params, **keyed, stripe_version=VERSION)
    ours, theirs = recorder.sent
    assert ours == theirs


VALUES = st.recursive(
    st.integers() | st.text(max_size=8) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=4))
def test_form_equals_the_sdk_form_byte_for_byte(params: dict[str, Any]) -> None:
    recorder = Recorder()
    client = stripe.StripeClient("sk_test_x", http_client=recorder)
    client.raw_request("post", "/v1/x", **params)
    assert encoded(params) == recorder.sent[0][3]


def test_answer_includes_its_headers() -> None:
    answer = read_answer(Response(200, {"idempotent-replayed": "true"}, b'{"id": "pi_1"}'), None)
    assert answer == Answer({"id": "pi_1"}, {"idempotent-replayed": "true"})


def test_text_with_half_a_surrogate_pair_is_readable() -> None:
    assert read_answer(Response(200, {}, b'{"a": "\\ud800"}'), None).body == {"a": "\ud800"}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"7", b'{"error": null}', b'{"error": "text"}', b"[" * 60_000]
)
def test_error_of_any_shape_is_an_error_answer(body: bytes) -> None:
    with pytest.raises(ErrorAnswer) as raised:
        read_answer(Response(400, {}, body), None)
    assert raised.value.error is None


@pytest.mark.parametrize("content", [b"<html>", b"", b"\xff\xfe", b'{"id": ', b"[" * 60_000])
def test_200_without_json_is_unreadable(content: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read_answer(Response(200, {}, content), None)


def test_answer_under_another_key_is_not_accepted() -> None:
    response = Response(200, {"idempotency-key": "key-2"}, b"{}")
    with pytest.raises(ValueError, match="another request"):
        read_answer(response, "key-1")
    assert read_answer(response, "key-2").body == {}


def test_post_without_a_key_is_rejected() -> None:
    with pytest.raises(AssertionError):
        StripeApi(Recorder(), "sk_test_x", VERSION).send(Call("post", "/v1/payment_intents"), 0.0)


def test_list_request_keeps_its_query() -> None:
    recorder = Recorder()
    api = StripeApi(recorder, "sk_test_x", VERSION)
    api.send(Call("get", "/v1/payment_intents", {"limit": 1}), 0.0)
    assert parse_qsl(urlsplit(recorder.sent[0][1]).query) == [("limit", "1")]


def told(answer: Response | HttpFailure, read: Callable[[Answer], Any] = id) -> Send:
    """Send once, and return the report of the failure."""
    sends: list[Send] = []
    api = StripeApi(Recorder(answer), "sk_test_x", VERSION)
    sender = Sender(StripeSends(api), RetryPolicy(max_sends=1), sends.append, lambda _: None)
    with pytest.raises(SendFailed):
        sender.send(Call("get", "/v1/payment_intents/pi_1"), Deadline.after(5), read)
    assert len(sends) == 1
    return sends[0]


def test_lost_answer_is_reported_with_its_phase_and_cause() -> None:
    send = told(NeverSent("tls", "unknown CA, as sk_test_x would say"))
    assert send.verdict is not None
    assert send.verdict.meaning is Meaning.NO_ANSWER
    assert (send.phase, send.cause) == ("tls", "unknown CA, as **** would say")


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_stripes_own_sentence_is_the_cause(status: int) -> None:
    sentence = "The provided key 'rk_test_abc' does not have the required permissions."
    body = json.dumps({"error": {"type": "invalid_request_error", "message": sentence}})
    send = told(Response(status, {"request-id": "req_1"}, body.encode()))
    assert send.cause == sentence.replace("rk_test_abc", "****")
    assert (send.phase, send.request_id) == (None, "req_1")


@pytest.mark.parametrize("status", [400, 402, 404])
def test_rejected_request_is_not_quoted_in_the_log(status: int) -> None:
    error = {"type": "invalid_request_error", "message": "Invalid email address: a@b.example"}
    assert told(Response(status, {}, json.dumps({"error": error}).encode())).cause is None


def test_unreadable_answer_is_reported_with_the_exception() -> None:
    send = told(Response(200, {}, b"<html>"))
    assert send.cause is not None
    assert "JSONDecodeError" in send.cause
