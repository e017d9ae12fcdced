"""We send what the SDK would send, and the SDK parses any answer but a 200 with JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from payment_service.gateways.stripe.api_calls import Call, HeaderKeeper, Sdk, form

ANSWER = b'{"id": "pi_1"}'


class Recorder(stripe.HTTPClient):
    """An HTTP client with one fixed answer; records the requests."""

    name = "requests"

    def __init__(self, content: bytes = ANSWER, status: int = 200) -> None:
        super().__init__()
        self.content, self.status = content, status
        self.sent: list[tuple[str, str, Mapping[str, str], Any]] = []

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None, **_: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        self.sent.append((method, url, dict(headers), post_data))
        received = {"Request-Id": "req_1", "Idempotent-Replayed": "true"}
        return self.content, self.status, CaseInsensitiveDict(received)


def sdk(recorder: Recorder, **options: Any) -> tuple[Sdk, stripe.StripeClient]:
    keeper = HeaderKeeper(recorder)
    client = stripe.StripeClient("sk_test_x", http_client=keeper, **options)
    return Sdk(client, keeper, stripe.api_version or ""), client


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch telemetry off: it would add the duration of the last request to the next one."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)


@pytest.mark.parametrize(
    ("method", "path", "params", "key"),
    [
        ("post", "/v1/payment_intents", {"amount": 1, "metadata": {"order_id": "ä b"}}, "key-1"),
        ("post", "/v1/payment_intents/pi_1/cancel", {"cancellation_reason": "abandoned"}, "key-2"),
        ("get", "/v1/payment_intents/pi_1", {}, None),
        ("get", "/v1/payment_intents", {"limit": 100, "created": {"gte": 5}}, None),
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stripe_account": "acct_1"},
        {"base_addresses": {"api": "http://127.0.0.1:12111"}},
    ],
)
def test_request_equals_the_sdk_request_byte_for_byte(
    method: str, path: str, params: dict[str, Any], key: str | None, options: dict[str, Any]
) -> None:
    recorder = Recorder()
    ours, client = sdk(recorder, **options)
    keyed = {"idempotency_key": key} if key else {}
    for _ in range(2):
        ours.ask(Call(method, path, params, key, "2026-01-01"))
    client.raw_request(method, path, **params, **keyed, stripe_version="2026-01-01")
    first, second, theirs = recorder.sent
    assert first == second == theirs


VALUES = st.recursive(
    st.integers() | st.text(max_size=8) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=4))
def test_form_equals_the_sdk_form_byte_for_byte(params: dict[str, Any]) -> None:
    recorder = Recorder()
    _, client = sdk(recorder)
    client.raw_request("post", "/v1/x", **params)
    assert form(params) == recorder.sent[0][3]


def test_answer_includes_its_headers() -> None:
    answer = sdk(Recorder())[0].ask(Call("get", "/v1/payment_intents/pi_1"))
    assert answer.body == {"id": "pi_1"}
    assert answer.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (400, {"error": {"type": "invalid_request_error", "message": "m"}}, "InvalidRequestError"),
        (400, {"error": {"type": "idempotency_error", "message": "m"}}, "IdempotencyError"),
        (401, {"error": {"message": "m"}}, "AuthenticationError"),
        (402, {"error": {"type": "card_error", "message": "m", "code": "c"}}, "CardError"),
        (429, {"error": {"message": "m"}}, "RateLimitError"),
        (500, {"error": {"message": "m"}}, "APIError"),
    ],
)
def test_error_comes_from_the_sdk_without_a_second_send(
    status: int, content: dict[str, Any], error: str
) -> None:
    recorder = Recorder(json.dumps(content).encode(), status)
    ours, _ = sdk(recorder)
    with pytest.raises(stripe.StripeError) as raised:
        ours.ask(Call("post", "/v1/payment_intents", {"amount": 1}, "key-1"))
    assert type(raised.value).__name__ == error
    assert raised.value.http_status == status
    assert raised.value.request_id == "req_1"
    assert len(recorder.sent) == 1


@pytest.mark.parametrize("content", [b"<html>", b"", b"\xff\xfe", b'{"id": ', b"[" * 60_000])
def test_200_without_json_raises_an_error_without_a_resend(content: bytes) -> None:
    recorder = Recorder(content)
    with pytest.raises((stripe.APIError, ValueError)):
        sdk(recorder)[0].ask(Call("get", "/v1/payment_intents/pi_1"))
    assert len(recorder.sent) == 1


def test_post_without_a_key_is_rejected() -> None:
    with pytest.raises(AssertionError):
        sdk(Recorder())[0].ask(Call("post", "/v1/payment_intents"))


def test_list_request_keeps_its_query() -> None:
    recorder = Recorder(b'{"data": []}')
    sdk(recorder)[0].ask(Call("get", "/v1/payment_intents", {"limit": 1}))
    assert parse_qsl(urlsplit(recorder.sent[0][1]).query) == [("limit", "1")]
