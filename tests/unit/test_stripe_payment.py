"""The helper functions, with Stripe mocked at HTTP by `responses`."""

from __future__ import annotations

import copy
import pickle
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
import stripe

from stripe_payment import create_payment_intent, generate_idempotency_key

URL = "https://api.stripe.com/v1/payment_intents"
INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "client_secret": "pi_1_secret_x",
    "status": "requires_payment_method",
    "amount": 1099,
    "currency": "usd",
    "created": 1_800_000_000,
    "metadata": {"order_id": "A-1"},
    "livemode": False,
}


@pytest.fixture
def stripe_http(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_helper")
    monkeypatch.delenv("STRIPE_API_BASE", raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with responses.RequestsMock() as mock:
        yield mock


def test_key_is_stable_across_releases() -> None:
    assert (
        generate_idempotency_key("A-1")
        == "order-f788a0c070947d7eb31bd133a396db72ab9583cac8d8ab9da916f62c3b95748c"
    )


def test_key_is_ascii_and_reveals_nothing() -> None:
    key = generate_idempotency_key("Müller-4711", "shop")
    assert key.isascii()
    assert len(key) <= 255
    assert "4711" not in key
    assert "shop" not in key


def test_clients_have_different_keys() -> None:
    keys = {
        generate_idempotency_key("A-1"),
        generate_idempotency_key("A-1", "a"),
        generate_idempotency_key("A-1", "b"),
        generate_idempotency_key("a", "A-1"),
    }
    assert len(keys) == 4


def test_integer_order_equals_its_decimal_text() -> None:
    assert generate_idempotency_key(42) == generate_idempotency_key("42")


def test_integer_client_equals_its_decimal_text() -> None:
    assert generate_idempotency_key("A-1", 7) == generate_idempotency_key("A-1", "7")


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_order_is_rejected(blank: str) -> None:
    with pytest.raises(ValueError, match="order_id"):
        generate_idempotency_key(blank)


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_client_is_rejected(blank: str) -> None:
    with pytest.raises(ValueError, match="client_id"):
        generate_idempotency_key("A-1", blank)


@pytest.mark.parametrize("names", [(None,), (1.5,), (True,), ("A-1", []), ("A-1", True)])
def test_other_types_are_rejected(names: Any) -> None:
    with pytest.raises(TypeError, match="must be a text or an integer"):
        generate_idempotency_key(*names)


def test_payment_intent_is_stripes_own_object(stripe_http: responses.RequestsMock) -> None:
    stripe_http.post(URL, json=INTENT)
    intent = create_payment_intent(1099, metadata={"order_id": "A-1"}, idempotency_key="key-1")
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.id, intent.client_secret) == ("pi_1", "pi_1_secret_x")
    request = stripe_http.calls[0].request
    assert request.headers["Idempotency-Key"] == "key-1"
    assert dict(urllib.parse.parse_qsl(str(request.body))) == {
        "amount": "1099",
        "currency": "usd",
        "metadata[order_id]": "A-1",
    }


def sent_params(mock: responses.RequestsMock) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(str(mock.calls[-1].request.body)))


def test_the_key_of_an_order_names_it_in_the_metadata(
    stripe_http: responses.RequestsMock,
) -> None:
    stripe_http.post(URL, json={**INTENT, "metadata": {"order_id": "7", "client_id": "shop"}})
    key = generate_idempotency_key(7, "shop")
    for kept in (key, copy.deepcopy(key), pickle.loads(pickle.dumps(key))):
        assert create_payment_intent(1099, metadata={"b": "2", "a": "1"}, idempotency_key=kept)
        assert stripe_http.calls[-1].request.headers["Idempotency-Key"] == str(key)
        assert list(sent_params(stripe_http).items())[2:] == [
            ("metadata[a]", "1"),
            ("metadata[b]", "2"),
            ("metadata[order_id]", "7"),
            ("metadata[client_id]", "shop"),
        ]


def test_metadata_may_repeat_the_order_of_the_key(stripe_http: responses.RequestsMock) -> None:
    stripe_http.post(URL, json={**INTENT, "metadata": {"order_id": "42"}})
    key = generate_idempotency_key("42")
    assert create_payment_intent(1099, metadata={"order_id": "42"}, idempotency_key=key)
    assert sent_params(stripe_http)["metadata[order_id]"] == "42"


@pytest.mark.parametrize("other", [{"order_id": "A-2"}, {"client_id": "shop"}, {"order_id": ""}])
def test_metadata_that_names_another_order_is_rejected(
    stripe_http: responses.RequestsMock, other: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match="is not that of the idempotency key"):
        create_payment_intent(1099, metadata=other, idempotency_key=generate_idempotency_key("A-1"))
    assert len(stripe_http.calls) == 0


def test_a_key_that_lost_its_order_is_logged(
    stripe_http: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    stripe_http.post(URL, json=INTENT)
    plain = str(generate_idempotency_key("A-1"))
    assert create_payment_intent(1099, metadata={"order_id": "A-1"}, idempotency_key=plain)
    assert not caplog.records
    assert create_payment_intent(1099, idempotency_key=plain)
    assert "does not name its order" in caplog.text


@pytest.mark.parametrize("given", [{"order_id": 42}, {"order_id": "42", "client_id": ""}])
def test_metadata_stored_as_text_still_matches_the_order(
    stripe_http: responses.RequestsMock, given: dict[str, Any]
) -> None:
    stripe_http.post(URL, json={**INTENT, "metadata": {"order_id": "42"}})
    assert create_payment_intent(1099, metadata=given) is not None
    assert len(stripe_http.calls) == 1


@pytest.mark.parametrize("key", ["", 0, 7, b"key-1", "key\n1", "x" * 256])
def test_invalid_key_is_rejected_and_never_replaced(
    stripe_http: responses.RequestsMock, key: Any
) -> None:
    with pytest.raises(ValueError, match="idempotency key"):
        create_payment_intent(1099, idempotency_key=key)
    assert len(stripe_http.calls) == 0


def test_network_error_is_retried_under_the_same_key(
    stripe_http: responses.RequestsMock,
) -> None:
    stripe_http.post(URL, body=requests.exceptions.ConnectionError("cut"))
    stripe_http.post(URL, body=requests.exceptions.ReadTimeout("late"))
    stripe_http.post(URL, json=INTENT)
    intent = create_payment_intent(1099)
    assert intent is not None
    assert len({call.request.headers["Idempotency-Key"] for call in stripe_http.calls}) == 1


def test_dead_network_returns_none_after_three_sends(
    stripe_http: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    stripe_http.post(URL, body=requests.exceptions.ConnectionError("cut"))
    assert create_payment_intent(1099) is None
    assert len(stripe_http.calls) == 3
    assert "Failed to create payment intent" in caplog.text


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "invalid_request_error"), (402, "card_error")],
)
def test_other_failures_are_logged_and_return_none(
    stripe_http: responses.RequestsMock, caplog: pytest.LogCaptureFixture, status: int, kind: str
) -> None:
    error = {"type": kind, "message": "no, said sk_test_helper"}
    stripe_http.post(URL, status=status, json={"error": error})
    assert create_payment_intent(1099) is None
    assert len(stripe_http.calls) == 1
    assert "sk_test" not in caplog.text
