"""The core in process: begin and finish, core faults, copies, reproducible ids."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from sandbox.answers import Response
from sandbox.core import Sandbox
from sandbox.execution import Execution
from sandbox.faults import FaultOrder, Match
from tests.support.sandbox_in_process import INTENTS, Shop, error

ORDER = {"amount": 1099, "currency": "usd", "metadata[order_id]": "A-1"}
KEY = {"Idempotency_Key": "key-1"}


@pytest.fixture
def shop() -> Shop:
    return Shop()


def begun(shop: Shop) -> Execution:
    started = shop.begin(ORDER, **KEY)
    assert isinstance(started, Execution)
    return started


def send(shop: Shop) -> Response:
    return shop.post(INTENTS, ORDER, **KEY)


def made(shop: Shop) -> int:
    return len(shop.get(INTENTS).json()["data"])


def test_between_begin_and_finish_the_key_is_in_use(shop: Shop) -> None:
    execution = begun(shop)
    assert (send(shop).status, error(send(shop))["code"]) == (409, "idempotency_key_in_use")
    assert made(shop) == 0
    first = shop.sandbox.finish(execution)
    assert (first.status, send(shop).body) == (200, first.body)
    assert made(shop) == 1


def test_begin_returns_responses_that_need_no_execution(shop: Shop) -> None:
    send(shop)
    assert isinstance(shop.begin(ORDER, **KEY), Response)
    assert isinstance(shop.begin({"amount": "ten"}), Response)


def test_an_abandoned_request_leaves_no_trace(shop: Shop) -> None:
    shop.sandbox.abandon(begun(shop))
    assert (send(shop).headers.get("Idempotent-Replayed"), made(shop)) == (None, 1)


def test_a_key_in_use_does_not_expire(shop: Shop) -> None:
    execution = begun(shop)
    shop.now += 2 * 86_400
    assert send(shop).status == 409
    assert shop.sandbox.finish(execution).status == 200


@pytest.mark.parametrize(
    ("kind", "status", "code", "objects", "then"),
    [
        ("error_500_with_object", 500, None, 1, 500),
        ("error_500_without_object", 500, None, 0, 500),
        ("late_object", 500, None, 0, 500),
        ("error_503", 503, None, 0, 200),
        ("rate_limited", 429, "rate_limit", 0, 200),
        ("lock_timeout", 429, "lock_timeout", 0, 200),
        ("key_in_use", 409, "idempotency_key_in_use", 0, 200),
        ("unauthorized", 401, None, 0, 200),
        ("forbidden", 403, None, 0, 200),
    ],
)
def test_a_core_fault_has_its_status_and_effect(
    shop: Shop, kind: str, status: int, code: str | None, objects: int, then: int
) -> None:
    shop.sandbox.faults.order(FaultOrder(kind))
    struck = send(shop)
    assert (struck.status, error(struck).get("code"), made(shop)) == (status, code, objects)
    assert send(shop).status == then


@pytest.mark.parametrize(("kind", "body"), [("html", b"<html>"), ("empty_object", b"{}")])
@pytest.mark.parametrize("executes", [True, False])
def test_a_200_without_a_payment_intent(shop: Shop, kind: str, body: bytes, executes: bool) -> None:
    shop.sandbox.faults.order(FaultOrder(kind, executes=executes))
    struck = send(shop)
    assert (struck.status, struck.body[: len(body)]) == (200, body)
    assert made(shop) == executes
    assert ("Idempotent-Replayed" in send(shop).headers) is executes


@pytest.mark.parametrize(
    ("kind", "status"),
    [("request_timeout_408", 408), ("misdirected_421", 421), ("too_early_425", 425)],
)
def test_an_edge_status_executes_and_saves_nothing(shop: Shop, kind: str, status: int) -> None:
    shop.sandbox.faults.order(FaultOrder(kind))
    struck = send(shop)
    assert (struck.status, struck.headers) == (status, {"Content-Type": "text/html"})
    assert (struck.body[:6], made(shop)) == (b"<html>", 0)
    assert (send(shop).status, made(shop)) == (200, 1)
    assert shop.sandbox.log.shown_counts()[f"POST {INTENTS} {status}"] == 1


def test_an_edge_status_precedes_the_saved_answer(shop: Shop) -> None:
    first = send(shop)
    shop.sandbox.faults.order(FaultOrder("too_early_425"))
    assert send(shop).status == 425
    assert send(shop).body == first.body


def test_an_order_sets_retry_after_and_should_retry(shop: Shop) -> None:
    shop.sandbox.faults.order(
        FaultOrder("rate_limited", retry_after=7),
        FaultOrder("rate_limited", retry_after=None),
        FaultOrder("error_500_without_object", should_retry=False),
    )
    assert send(shop).headers["Retry-After"] == "7"
    assert "Retry-After" not in send(shop).headers
    assert send(shop).headers["Stripe-Should-Retry"] == "false"


def test_skip_and_count_select_requests(shop: Shop) -> None:
    shop.sandbox.faults.order(FaultOrder("error_503", skip=1, count=2))
    assert [shop.get(INTENTS).status for _ in range(5)] == [200, 503, 503, 200, 200]
    assert shop.sandbox.faults.fired == {"error_503": 2}


def test_a_probability_is_reproducible(shop: Shop) -> None:
    def run() -> list[int]:
        shop.sandbox.faults.clear()
        shop.sandbox.faults.order(FaultOrder("error_503", count=None, probability=0.5, seed=3))
        return [shop.get(INTENTS).status for _ in range(40)]

    first = run()
    assert run() == first
    assert 5 < first.count(503) < 35


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        (Match(), True),
        (Match(method="POST"), True),
        (Match(method="GET"), False),
        (Match(path="/v1/payment"), True),
        (Match(path=f"{INTENTS}$"), True),
        (Match(path=f"{INTENTS}/"), False),
        (Match(order_id="A-"), True),
        (Match(order_id="B-"), False),
        (Match(idempotency_key="key"), True),
        (Match(idempotency_key="other"), False),
    ],
)
def test_a_match_selects_requests(shop: Shop, match: Match, hit: bool) -> None:
    shop.sandbox.faults.order(FaultOrder("error_503", match))
    assert (send(shop).status == 503) is hit


def test_a_late_object_has_the_time_of_its_request(shop: Shop) -> None:
    shop.sandbox.faults.order(FaultOrder("late_object", seconds=60))
    sent_at = shop.now
    send(shop)
    shop.now += 60
    late = shop.get(INTENTS).json()["data"][0]
    assert (late["created"], late["metadata"]) == (int(sent_at), {"order_id": "A-1"})


def test_search_finds_a_late_object_after_its_lag(shop: Shop) -> None:
    shop.sandbox.faults.order(FaultOrder("late_object", seconds=60))
    send(shop)
    shop.now += 61
    query = {"query": "metadata['order_id']:'A-1'"}
    assert shop.get(f"{INTENTS}/search", query).json()["data"] == []
    shop.now += 1
    assert len(shop.get(f"{INTENTS}/search", query).json()["data"]) == 1


def test_an_execution_during_a_reset_changes_nothing(shop: Shop) -> None:
    execution = begun(shop)
    shop.sandbox.reset()
    assert shop.sandbox.finish(execution).status == 503
    assert made(shop) == 0


def test_the_limiter_admits_its_rate_per_second(shop: Shop) -> None:
    shop.sandbox.rate_limit = 3
    statuses = [shop.get(INTENTS).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    shop.now += 1
    assert shop.get(INTENTS).status == 200


def test_the_limiter_counts_each_account_separately(shop: Shop) -> None:
    shop.sandbox.rate_limit = 1
    keys = ("sk_test_one", "sk_test_two", "sk_test_one")
    assert [shop.get(INTENTS, api_key=key).status for key in keys] == [200, 200, 429]


def test_a_seed_makes_ids_reproducible() -> None:
    assert Shop().create() == Shop().create()
    apart = [Sandbox(lambda: 0.0, seed=seed) for seed in (1, 2, None, None)]
    body = urlencode(ORDER).encode()
    answers = [each.handle("POST", INTENTS, Shop().headers(), body).json() for each in apart]
    assert len({answer["id"] for answer in answers}) == 4


def test_a_copy_is_independent(shop: Shop) -> None:
    send(shop)
    twin = shop.sandbox.copy()
    headers, body = shop.headers(**KEY), urlencode(ORDER).encode()
    assert twin.handle("POST", INTENTS, headers, body).headers["Idempotent-Replayed"] == "true"
    more = twin.handle("POST", INTENTS, shop.headers(), body).json()["id"]
    assert (made(shop), len(twin.handle("GET", INTENTS, headers).json()["data"])) == (1, 2)
    assert shop.post(INTENTS, ORDER).json()["id"] == more


def test_a_copy_includes_faults_and_scheduled_objects(shop: Shop) -> None:
    shop.sandbox.faults.order(FaultOrder("late_object", seconds=5), FaultOrder("error_503"))
    send(shop)
    later = shop.now + 5
    twin = shop.sandbox.copy(lambda: later)
    statuses = [twin.handle("GET", INTENTS, shop.headers()).status for _ in range(2)]
    assert statuses == [503, 200]
    assert len(twin.handle("GET", INTENTS, shop.headers()).json()["data"]) == 1
    shop.sandbox.faults.clear()
    assert made(shop) == 0


def test_the_log_keeps_no_client_secret(shop: Shop) -> None:
    secret = shop.create()["client_secret"]
    shop.get(f"{INTENTS}/pi_1", {"client_secret": secret}, api_key="pk_test_shop")
    assert "_secret_" not in str(shop.sandbox.log.shown())


def test_an_exception_releases_the_key(shop: Shop) -> None:
    execution = begun(shop)

    def broken(_: object) -> None:
        raise ZeroDivisionError

    shop.sandbox.on_event = broken
    with pytest.raises(ZeroDivisionError):
        shop.sandbox.finish(execution)
    shop.sandbox.on_event = None
    assert send(shop).status == 200
