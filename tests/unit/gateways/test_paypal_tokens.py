"""The access token: fetched by one thread, renewed before its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from payment_service.gateways.calls import Call
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.paypal.api_calls import PayPalApi
from payment_service.gateways.paypal.tokens import NoToken, Tokens
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.send import Sender
from payment_service.gateways.send_report import Meaning
from payment_service.http_client.connection import Response
from payment_service.schema.secret import Secret


class Endpoint:
    """A token endpoint that answers `answer`, after `gate` is open."""

    def __init__(self, answer: Callable[[int], Response]) -> None:
        self.answer, self.calls = answer, 0
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()
        self.headers: Any = None
        self.now = 1_000.0
        api = PayPalApi(self, "app:1", Secret("s/ö"), "https://paypal.example")
        sender = Sender(api, RetryPolicy(max_sends=1), lambda _: None, lambda _: None)
        self.tokens = Tokens(sender, lambda: self.now)

    def send(self, method: str, url: str, headers: Any, body: Any, ends_at: float) -> Response:
        assert (method, url) == ("POST", "https://paypal.example/v1/oauth2/token")
        assert body == b"grant_type=client_credentials"
        self.calls += 1
        self.headers = headers
        self.arrived.set()
        assert self.gate.wait(10)
        return self.answer(self.calls)

    def close(self) -> None:
        return

    def get(self, seconds: float = 10) -> str:
        return self.tokens.get(Deadline.after(seconds))


def token(number: int, seconds: Any = 31_668) -> Response:
    body = f'{{"access_token": "T{number}", "token_type": "Bearer", "expires_in": {seconds}}}'
    return Response(200, {}, body.encode())


def test_a_token_is_kept_until_a_minute_before_its_end() -> None:
    endpoint = Endpoint(token)
    assert endpoint.get() == "T1"
    endpoint.now += 31_668 - 60.1
    assert endpoint.get() == "T1"
    endpoint.now += 0.1
    assert endpoint.get() == "T2"


def test_a_token_of_a_minute_serves_one_call() -> None:
    endpoint = Endpoint(lambda number: token(number, 30))
    assert [endpoint.get(), endpoint.get()] == ["T1", "T2"]


def test_the_credentials_are_encoded() -> None:
    endpoint = Endpoint(token)
    endpoint.get()
    # RFC 6749, 2.3.1: app%3A1:s%2F%C3%B6
    assert endpoint.headers["Authorization"] == "Basic YXBwJTNBMTpzJTJGJUMzJUI2"


def at_once(endpoint: Endpoint, work: Callable[[], str], threads: int = 8) -> list[Any]:
    """Let threads ask while a fetch is under way; return their tokens or errors."""

    def one() -> str | BaseException:
        try:
            return work()
        except NoToken as none:
            return none

    endpoint.gate.clear()
    with ThreadPoolExecutor(threads) as pool:
        asked = [pool.submit(one) for _ in range(threads)]
        assert endpoint.arrived.wait(10)
        endpoint.gate.set()
        return [each.result(10) for each in asked]


def test_one_thread_fetches_and_the_others_wait() -> None:
    endpoint = Endpoint(token)
    assert at_once(endpoint, endpoint.get) == ["T1"] * 8
    assert endpoint.calls == 1


def test_a_rejected_token_is_renewed_by_one_thread() -> None:
    endpoint = Endpoint(token)
    stale = endpoint.get()
    endpoint.arrived.clear()
    renewed = at_once(endpoint, lambda: endpoint.tokens.renew(stale, Deadline.after(10)))
    assert renewed == ["T2"] * 8
    assert endpoint.tokens.renew(stale, Deadline.after(10)) == "T2"
    assert endpoint.calls == 2


def test_a_thread_waits_no_longer_than_its_deadline() -> None:
    endpoint = Endpoint(token)
    endpoint.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(endpoint.get)
        assert endpoint.arrived.wait(10)
        with pytest.raises(NoToken) as none:
            endpoint.get(0.01)
        assert none.value.failed.verdict.meaning is Meaning.NO_ANSWER
        endpoint.gate.set()
        assert first.result(10) == "T1"


def test_a_refusal_is_not_asked_for_again_by_those_who_waited() -> None:
    refused = Response(401, {}, b'{"error": "invalid_client", "error_description": "No"}')
    endpoint = Endpoint(lambda _: refused)
    meanings = [each.failed.verdict.meaning for each in at_once(endpoint, endpoint.get)]
    assert meanings == [Meaning.CONFIG] * 8
    assert endpoint.calls < 8


def test_a_failure_is_not_kept() -> None:
    endpoint = Endpoint(lambda number: Response(500, {}, b"") if number == 1 else token(number))
    with pytest.raises(NoToken):
        endpoint.get()
    assert endpoint.get() == "T2"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[]",
        b'{"access_token": "", "expires_in": 300}',
        b'{"access_token": 7, "expires_in": 300}',
        b'{"access_token": "a\\nb", "expires_in": 300}',
        b'{"access_token": "\\u00fc", "expires_in": 300}',
        b'{"access_token": "T"}',
        b'{"access_token": "T", "expires_in": 0}',
        b'{"access_token": "T", "expires_in": "x"}',
        b'{"access_token": "T", "expires_in": NaN}',
    ],
)
def test_an_answer_without_a_token_is_unreadable(body: bytes) -> None:
    with pytest.raises(NoToken) as none:
        Endpoint(lambda _: Response(200, {}, body)).get()
    assert none.value.failed.verdict.meaning is Meaning.UNREADABLE


def test_no_other_call_goes_out_without_a_token() -> None:
    endpoint = Endpoint(token)
    api = PayPalApi(endpoint, "app", Secret("s"), "https://paypal.example")
    with pytest.raises(AssertionError):
        api.send(Call("get", "/v2/checkout/orders/X"), 0.0)
