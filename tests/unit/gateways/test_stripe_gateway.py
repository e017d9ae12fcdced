"""The Stripe operations: requests, accepted answers, and the errors for failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from payment_service.errors import (
    CardRefused,
    GatewayFailed,
    GatewayUnreachable,
    Misconfigured,
    Refused,
)
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.outcome import Declined, KeyMisused, Made, Unclear
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.send_report import Send
from payment_service.gateways.sent_params import SentParams
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.http_client.client import HttpClient
from payment_service.key_store.contract import Order

URL = "https://api.stripe.com/v1/payment_intents"
ORDER = Order(livemode=False, client_id="shop", order_id="A-1")
PARAMS = {
    "amount": 1099,
    "currency": "usd",
    "metadata": {"order_id": "A-1", "client_id": "shop"},
}
SENT = SentParams("2026-10-28.endive", PARAMS)
NOW = 1_800_000_000.0


def intent(intent_id: str = "pi_1", **more: Any) -> dict[str, Any]:
    return {
        "id": intent_id,
        "client_secret": f"{intent_id}_secret_x",
        "status": "requires_payment_method",
        "created": int(NOW),
        **PARAMS,
        **more,
    }


class Gateway(StripeGateway):
    """A gateway that does not wait, and records the report of each send."""

    def __init__(self) -> None:
        self.told = list[Send]()
        super().__init__(
            "sk_test_gateway",
            HttpClient(connect_seconds=1, read_seconds=1, keep=2),
            policy=RetryPolicy(sleep=lambda _: None),
            clock=lambda: NOW,
            report=self.told.append,
        )


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    gateway = Gateway()
    yield gateway
    gateway.close()


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def soon() -> Deadline:
    return Deadline.after(20.0)


def test_creation_sends_key_version_and_params(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.post(URL, json=intent())
    made = gateway.create(SENT, "key-1", soon())
    assert isinstance(made, Made)
    request = http.calls[0].request
    assert request.headers["Idempotency-Key"] == "key-1"
    assert request.headers["Stripe-Version"] == "2026-10-28.endive"
    assert request.headers["Authorization"] == "Bearer sk_test_gateway"
    assert [(told.number, told.verdict) for told in gateway.told] == [(1, None)]


@pytest.mark.parametrize("key", ["", "ü", "k" * 256])
def test_invalid_key_is_never_sent(gateway: Gateway, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency key"):
        gateway.create(SENT, key, soon())


def test_replay_is_recognised(gateway: Gateway, http: responses.RequestsMock) -> None:
    http.post(URL, json=intent(), headers={"Idempotent-Replayed": "true"})
    made = gateway.create(SENT, "key-1", soon())
    assert isinstance(made, Made)
    assert made.replayed


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "null",
        '"pi_1"',
        '{"id": "pi_1"}',
        '{"id": 7, "client_secret": "x"}',
        '{"id": "", "client_secret": ""}',
        "<html>One moment</html>",
        "",
        '{"id": "pi_1", "client_secret": "x"',
    ],
)
def test_200_without_a_payment_intent_is_resent_then_unclear(
    gateway: Gateway, http: responses.RequestsMock, body: str
) -> None:
    http.post(URL, body=body)
    outcome = gateway.create(SENT, "key-1", soon())
    assert isinstance(outcome, Unclear)
    assert isinstance(outcome.error, GatewayFailed)
    assert len(http.calls) == 3


def test_answer_for_another_order_is_not_accepted(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    other = intent("pi_2", metadata={"order_id": "B-2", "client_id": "shop"})
    http.post(URL, json=other)
    assert isinstance(gateway.create(SENT, "key-1", soon()), Unclear)


def test_retrieve_does_not_accept_another_payment_intent(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.get(f"{URL}/pi_1", json=intent("pi_2"))
    with pytest.raises(GatewayFailed):
        gateway.retrieve("pi_1", soon())


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [(400, "invalid_request_error", Refused), (402, "card_error", CardRefused)],
)
def test_rejection_is_definitive_and_keeps_stripes_code(
    gateway: Gateway,
    http: responses.RequestsMock,
    status: int,
    kind: str,
    expected: type[Refused],
) -> None:
    error = {"type": kind, "code": "its_code", "message": "No, sk_test_gateway."}
    http.post(URL, status=status, json={"error": error}, headers={"Request-Id": "req_1"})
    outcome = gateway.create(SENT, "key-1", soon())
    assert isinstance(outcome, Declined)
    assert isinstance(outcome.error, expected)
    assert (outcome.error.code, outcome.error.message) == ("its_code", "No, ****.")
    assert outcome.error.request_id == "req_1"


def test_idempotency_error_is_not_a_rejection(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.post(URL, status=400, json={"error": {"type": "idempotency_error", "message": "other"}})
    assert isinstance(gateway.create(SENT, "key-1", soon()), KeyMisused)


def test_rejection_after_a_lost_answer_is_after_unresolved(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.post(URL, body=requests.exceptions.ConnectionError("cut"))
    http.post(URL, status=400, json={"error": {"type": "invalid_request_error"}})
    outcome = gateway.create(SENT, "key-1", soon())
    assert isinstance(outcome, Declined)
    assert outcome.after_unresolved


def test_rejection_after_a_rate_limit_answers_the_first_send(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.post(URL, status=429, json={"error": {"type": "invalid_request_error"}})
    http.post(URL, status=400, json={"error": {"type": "invalid_request_error"}})
    outcome = gateway.create(SENT, "key-1", soon())
    assert isinstance(outcome, Declined)
    assert not outcome.after_unresolved


@pytest.mark.parametrize("body", ['{"error": {"type": "api_error"}}', "<html>500</html>", "[]"])
def test_replayed_500_counts_as_saved_with_any_body(
    gateway: Gateway, http: responses.RequestsMock, body: str
) -> None:
    http.post(URL, status=500, body=body)
    http.post(URL, status=500, body=body, headers={"Idempotent-Replayed": "true"})
    outcome = gateway.create(SENT, "key-1", soon())
    assert isinstance(outcome, Unclear)
    assert (outcome.saved_5xx, outcome.of_this_call) == (True, False)
    assert len(http.calls) == 2


@pytest.mark.parametrize("error", ["[]", '"text"', "7", "null", '{"type": 7}', '{"type": null}'])
@pytest.mark.parametrize("status", [400, 401, 409, 429, 500])
def test_error_of_any_shape_gives_an_outcome(
    gateway: Gateway, http: responses.RequestsMock, status: int, error: str
) -> None:
    http.post(URL, status=status, body=f'{{"error": {error}}}')
    assert isinstance(gateway.create(SENT, "key-1", soon()), Unclear | Declined)


@pytest.mark.parametrize("status", [401, 403])
def test_rejected_credentials_mean_misconfigured(
    gateway: Gateway, http: responses.RequestsMock, status: int
) -> None:
    http.post(URL, status=status, json={"error": {"message": "Invalid API Key: sk_test_****"}})
    outcome = gateway.create(SENT, "key-1", soon())
    assert isinstance(outcome, Unclear)
    assert isinstance(outcome.error, Misconfigured)
    assert len(http.calls) == 1


def test_nothing_is_sent_when_no_time_is_left(gateway: Gateway) -> None:
    outcome = gateway.create(SENT, "key-1", Deadline.after(0.1))
    assert isinstance(outcome, Unclear)
    assert isinstance(outcome.error, GatewayUnreachable)


def test_unknown_payment_intent_raises_no_such_intent(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    error = {"type": "invalid_request_error", "code": "resource_missing"}
    http.get(f"{URL}/pi_1", status=404, json={"error": error})
    with pytest.raises(NoSuchIntent):
        gateway.retrieve("pi_1", soon())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>404 Not Found</html>"),
        (404, b""),
        (404, b"{}"),
        (404, b'{"error": "resource_missing"}'),
        (404, b'{"code": "resource_missing"}'),
        (404, b'{"error": {"type": "invalid_request_error", "message": "Unrecognized URL"}}'),
        (400, b'{"error": {"type": "invalid_request_error", "code": "resource_missing"}}'),
        (410, b'{"error": {"type": "invalid_request_error", "code": "resource_missing"}}'),
    ],
)
def test_only_stripes_definitive_404_means_no_such_intent(
    gateway: Gateway, http: responses.RequestsMock, status: int, body: bytes
) -> None:
    http.get(f"{URL}/pi_1", status=status, body=body)
    with pytest.raises(GatewayFailed):
        gateway.retrieve("pi_1", soon())


def test_deleted_test_intent_that_search_still_shows_is_not_found(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    error = {"type": "invalid_request_error", "code": "resource_missing"}
    http.get(f"{URL}/search", json={"data": [intent("pi_old")], "has_more": False})
    http.get(URL, json={"data": [], "has_more": False})
    http.get(f"{URL}/pi_old", status=404, json={"error": error})
    assert gateway.find(ORDER, NOW - 100_000, soon()) == []


def test_find_reads_every_page_of_the_list(gateway: Gateway, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/search", json={"data": [], "has_more": False})
    foreign = intent("pi_0", metadata={"order_id": "B-2"})
    http.get(URL, json={"data": [foreign], "has_more": True})
    http.get(URL, json={"data": [intent("pi_1")], "has_more": False})
    found = gateway.find(ORDER, NOW - 10, soon())
    assert [each.id for each in found] == ["pi_1"]
    first, second = (_query(call.request.url) for call in http.calls[1:])
    assert first == {"created[gte]": [str(int(NOW) - 40)], "limit": ["100"]}
    assert second["starting_after"] == ["pi_0"]


def test_payment_intent_found_only_by_search_is_retrieved(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    old = intent("pi_old")
    http.get(f"{URL}/search", json={"data": [old], "has_more": False})
    http.get(URL, json={"data": [], "has_more": False})
    http.get(f"{URL}/pi_old", json={**old, "status": "canceled"})
    found = gateway.find(ORDER, NOW - 100_000, soon())
    assert [(each.id, each.status) for each in found] == [("pi_old", "canceled")]


def test_account_without_search_is_listed_from_the_start(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.get(f"{URL}/search", status=404, json={"error": {"type": "invalid_request_error"}})
    http.get(URL, json={"data": [intent()], "has_more": False})
    assert len(gateway.find(ORDER, NOW - 100_000, soon())) == 1
    assert _query(http.calls[-1].request.url)["created[gte]"] == [str(int(NOW) - 100_030)]


def test_find_ignores_unreadable_intents_of_other_software(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    """Stripe's API reference declares client_secret as nullable."""
    others: list[dict[str, Any]] = [
        intent("pi_2", client_secret=None, metadata={}),
        intent("pi_3", client_secret=None, metadata={"order_id": "B-2"}),
        intent("pi_4", metadata=None, amount=None, created=None),
        {"id": "pi_5"},
    ]
    page = {"data": [*others, intent("pi_1")], "has_more": False}
    http.get(f"{URL}/search", json=page)
    http.get(URL, json=page)
    assert [each.id for each in gateway.find(ORDER, NOW - 10, soon())] == ["pi_1"]


def test_walk_skips_payment_intents_of_other_software(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    """We gave no shopper a PaymentIntent without a client_secret, so none can pay it."""
    others = [intent("pi_2", client_secret=None), intent("pi_3", metadata={})]
    http.get(URL, json={"data": [*others, intent("pi_1")], "has_more": False})
    assert [each.id for each in gateway.walk(NOW - 10, 5.0)] == ["pi_1"]


@pytest.mark.parametrize("ours", [{"client_secret": None}, {"id": 7}, {"object": "charge"}])
def test_unreadable_intent_of_the_order_fails_the_find(
    gateway: Gateway, http: responses.RequestsMock, ours: dict[str, Any]
) -> None:
    http.get(f"{URL}/search", json={"data": [], "has_more": False})
    http.get(URL, json={"data": [intent("pi_1", **ours)], "has_more": False})
    with pytest.raises(GatewayFailed):
        gateway.find(ORDER, NOW - 10, soon())


def test_find_of_an_old_send_does_not_read_the_list(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    """A request has no time to read an hour of a busy account's list."""
    http.get(f"{URL}/search", json={"data": [intent("pi_1")], "has_more": False})
    http.get(f"{URL}/pi_1", json=intent("pi_1"))
    found = gateway.find(ORDER, NOW - 100_000, soon(), NOW - 4000)
    assert [each.id for each in found] == ["pi_1"]
    assert len(http.calls) == 2


@pytest.mark.parametrize(
    ("since", "sent_until", "window"),
    [
        (NOW - 3000, NOW - 2900, (NOW - 3030, NOW - 2570)),
        (NOW - 9000, NOW - 3700, (NOW - 3630, NOW - 3370)),
        (NOW - 3000, NOW - 100, (NOW - 3030, None)),
        (NOW - 3000, None, (NOW - 3030, None)),
        (NOW - 3000, NOW - 3500, (NOW - 3030, None)),
    ],
    ids=["young", "old", "just now", "not known", "clock set back"],
)
def test_find_lists_only_the_possible_creation_times(
    gateway: Gateway,
    http: responses.RequestsMock,
    since: float,
    sent_until: float | None,
    window: tuple[float, float | None],
) -> None:
    http.get(f"{URL}/search", json={"data": [], "has_more": False})
    http.get(URL, json={"data": [], "has_more": False})
    assert gateway.find(ORDER, since, soon(), sent_until) == []
    asked = _query(http.calls[-1].request.url)
    earliest, latest = window
    assert asked["created[gte]"] == [str(int(earliest))]
    assert asked.get("created[lte]") == (None if latest is None else [str(int(latest))])


def test_failed_search_does_not_prove_absence(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.get(f"{URL}/search", status=503, body="")
    with pytest.raises(GatewayFailed):
        gateway.find(ORDER, NOW - 100_000, soon())


def test_rejected_list_request_does_not_blame_the_client(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    http.get(f"{URL}/search", json={"data": [], "has_more": False})
    http.get(URL, status=400, json={"error": {"type": "invalid_request_error"}})
    with pytest.raises(GatewayFailed):
        gateway.find(ORDER, NOW - 10, soon())


def test_search_query_escapes_names(gateway: Gateway, http: responses.RequestsMock) -> None:
    http.get(f"{URL}/search", json={"data": [], "has_more": False})
    http.get(URL, json={"data": [], "has_more": False})
    gateway.find(Order(False, None, "it's \\ one"), NOW, soon())
    assert _query(http.calls[0].request.url)["query"] == ["metadata['order_id']:'it\\'s \\\\ one'"]


def test_cancellation_that_is_too_late_returns_none(
    gateway: Gateway, http: responses.RequestsMock
) -> None:
    error = {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}
    http.post(f"{URL}/pi_1/cancel", status=400, json={"error": error})
    assert gateway.cancel("pi_1", "duplicate", soon()) is None


def test_sent_params_survive_a_round_trip_as_text() -> None:
    again = SentParams.parse(SENT.text())
    assert again == SENT
    assert list(json.loads(again.text())["params"]) == list(PARAMS)


def _query(url: str | None) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url or "").query)
