"""GET /orders: which orders a caller sees, the filters, the pages and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from payment_service.key_store.contract import Order, Position, StoreUnavailable
from payment_service.payments.record.alarms import UNKNOWN_SECONDS
from payment_service.payments.request.order_list import cursor_of, position_of_cursor
from sandbox.faults import FaultOrder, Match
from tests.service.test_order_routes import Service
from tests.support.key_stores import record
from tests.support.shop import API_KEYS, bearer, clients_file, token

PARAMS = '{"api_version": "v", "params": {"amount": 1099, "currency": "usd"}}'

REFUND = Match(method="POST", path="/v1/refunds")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def guarded(tmp_path: Path) -> Service:
    """A service with the clients shop-a and shop-b, each with an order A-1."""
    service = Service(clients_file=clients_file(tmp_path))
    for key in ("shop-a", "shop-b"):
        body = {"order_id": "A-1", "amount": 1099}
        headers = bearer(API_KEYS[key])
        answer = service.client.post("/create-payment-intent", json=body, headers=headers)
        assert answer.status_code == 200
    return service


def get(service: Service, headers: dict[str, str] | None = None, **query: Any) -> Any:
    answer = service.client.get("/orders", query_string=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json


def names(page: Any) -> list[str]:
    return [each["order_id"] for each in page["orders"]]


def refusal(service: Service, query: str, headers: dict[str, str] | None = None) -> Any:
    answer = service.client.get(f"/orders?{query}", headers=headers)
    assert answer.status_code == 400, answer.text
    return answer.json


def test_an_order_is_shown_as_its_status_is_but_without_history(service: Service) -> None:
    service.create()
    (shown,) = get(service)["orders"]
    status = service.client.get("/payment-intent?order_id=A-1").json
    assert status
    del status["history"]
    assert shown == {**status, "alarms": []}


def test_orders_are_listed_page_by_page_newest_first(service: Service) -> None:
    for number in range(5):
        service.bench.now += 1
        service.create(f"A-{number}")
    first = get(service, limit=2)
    assert names(first) == ["A-4", "A-3"]
    # The order that the cursor stands for, and one further on, change in between.
    service.bench.now += 10
    service.client.post("/cancel-payment-intent", json={"order_id": "A-3"})
    service.client.post("/cancel-payment-intent", json={"order_id": "A-2"})
    second = get(service, limit=2, cursor=first["next_cursor"])
    assert (names(second), second["next_cursor"]) == (["A-1", "A-0"], None)
    whole = get(service, limit=5)
    assert (set(names(whole)[:2]), names(whole)[2:]) == ({"A-3", "A-2"}, ["A-4", "A-1", "A-0"])
    assert whole["next_cursor"] is None


def test_orders_are_selected_by_status_and_time(service: Service) -> None:
    for order_id in ("paid", "open", "canceled"):
        service.bench.now += 100
        intent = service.create(order_id)
        if order_id == "paid":
            service.bench.pay(intent)
            service.bench.apply_all("paid")
    service.client.post("/cancel-payment-intent", json={"order_id": "canceled"})
    assert names(get(service, status="succeeded")) == ["paid"]
    assert names(get(service, status="requires_payment_method")) == ["open"]
    at = {each["order_id"]: each["updated_at"] for each in get(service)["orders"]}
    assert names(get(service, updated_from=at["open"])) == ["canceled", "open"]
    assert names(get(service, updated_until=at["open"])) == ["paid"]
    assert get(service, status="succeeded", updated_from=at["open"])["orders"] == []


def test_unknown_orders_are_told_from_those_in_flight(service: Service) -> None:
    now = service.bench.now
    for number in range(25):
        claim = record(
            f"held-{number}", params=PARAMS, locked_until=now + 4, updated_at=now + number
        )
        service.bench.store.claim(claim)
    for order_id in ("u-1", "u-2", "u-3"):
        service.bench.store.claim(record(order_id, params=PARAMS, owner="", updated_at=now - 1))
    assert sorted(names(get(service, unknown="true"))) == ["u-1", "u-2", "u-3"]
    page = get(service, status="unknown", limit=2)
    rest = get(service, status="unknown", limit=2, cursor=page["next_cursor"])
    assert sorted(names(page) + names(rest)) == ["u-1", "u-2", "u-3"]
    assert rest["next_cursor"] is None
    assert len(names(get(service, status="in_flight", limit=100))) == 25
    assert {each["status"] for each in get(service, unknown="true")["orders"]} == {"unknown"}


def test_a_long_list_of_others_ends_a_page_early(service: Service) -> None:
    """No request reads all pending orders of the store to fill its page."""
    now = service.bench.now
    for number in range(6_000):
        claim = record(
            f"held-{number}", params=PARAMS, locked_until=now + 4, updated_at=now + number
        )
        service.bench.store.claim(claim)
    service.bench.store.claim(record("lost", params=PARAMS, owner="", updated_at=now - 1))
    page = get(service, unknown="true")
    assert page["orders"] == []
    assert names(get(service, unknown="true", cursor=page["next_cursor"])) == ["lost"]


def test_an_order_with_an_alarm_is_listed(service: Service) -> None:
    service.create("fine")
    service.bench.pay(service.create())
    service.bench.pay(service.bench.stray("A-1"))
    service.bench.apply_all()
    (shown,) = get(service, alarm="true")["orders"]
    assert (shown["order_id"], shown["alarms"]) == ("A-1", ["two_paid"])
    assert get(service, alarm="true", status="canceled")["orders"] == []


def test_a_client_sees_only_its_own_orders(guarded: Service) -> None:
    for client_id in ("shop-a", "shop-b"):
        page = get(guarded, bearer(API_KEYS[client_id]))
        assert [each["client_id"] for each in page["orders"]] == [client_id]
        own = get(guarded, bearer(API_KEYS[client_id]), client_id=client_id)
        assert own == page
    for query in ("client_id=shop-b", f"client_id=shop-b&cursor={any_cursor()}"):
        answer = guarded.client.get(f"/orders?{query}", headers=bearer(API_KEYS["shop-a"]))
        assert answer.status_code == 403


def test_a_cursor_of_another_client_shows_nothing_of_it(guarded: Service) -> None:
    ours, theirs = (bearer(API_KEYS[each]) for each in ("shop-a", "shop-b"))
    for order_id, headers in (("A-1", ours), ("B-1", theirs), ("B-2", theirs)):
        body = {"order_id": order_id, "amount": 1099}
        guarded.client.post("/create-payment-intent", json=body, headers=headers)
        guarded.bench.now += 1
    cursor = get(guarded, theirs, limit=1)["next_cursor"]
    assert names(get(guarded, ours, cursor=cursor)) == ["A-1"]


def test_a_token_lists_nothing(guarded: Service) -> None:
    answer: Any = guarded.client.get("/orders", headers=bearer(token()))
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert guarded.client.get("/orders").status_code == 401


def test_open_access_lists_every_client_of_its_mode(service: Service) -> None:
    for client_id in ("shop-a", "shop-b", None):
        body = {"order_id": "A-1", "amount": 1099, "client_id": client_id}
        service.client.post("/create-payment-intent", json=body)
    service.bench.store.claim(record(Order(livemode=True, client_id=None, order_id="live")))
    assert len(get(service)["orders"]) == 3
    (shown,) = get(service, client_id="shop-a")["orders"]
    assert shown["client_id"] == "shop-a"


def any_cursor() -> str:
    return cursor_of(Position(1.5, b"test:-:A-1"))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("state=paid", "state"),
        ("status=paid", "status"),
        ("status=", "status"),
        ("unknown=yes", "unknown"),
        ("alarm=1", "alarm"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1.0", "limit"),
        ("limit=-1", "limit"),
        ("limit=%D9%A1", "limit"),
        ("updated_from=yesterday", "updated_from"),
        ("updated_from=-1", "updated_from"),
        ("updated_from=inf", "updated_from"),
        ("updated_until=2026-11-29", "updated_until"),
        ("cursor=", "cursor"),
        ("cursor=A-1", "cursor"),
        ("cursor=W10", "cursor"),
        ("cursor=WzEsMl0", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("cursor=WzFlNDAwLCJhIl0", "cursor"),
        ("cursor=W05hTiwiYSJd", "cursor"),
        ("unknown=true&status=canceled", "unknown"),
        ("limit=5&limit=6", "limit"),
        ("order_id=A-1", "order_id"),
    ],
)
def test_a_query_that_is_not_clear_is_rejected(service: Service, query: str, param: str) -> None:
    refused = refusal(service, query)
    assert (refused["code"], refused["error"].partition(":")[0]) == ("invalid_parameter", param)


@pytest.mark.parametrize("updated_at", [0.0, 1e-9, 1_800_000_000.123456, -5.5, 1e300])
@pytest.mark.parametrize("key", ["test:-:A-1", 'live:4:shop:名🛒 \\ " \n'])
def test_a_cursor_is_read_as_it_was_written(updated_at: float, key: str) -> None:
    position = Position(updated_at, key.encode())
    assert position_of_cursor(cursor_of(position)) == position


def test_a_store_that_is_down_is_503(service: Service) -> None:
    def down() -> None:
        raise StoreUnavailable

    with service.bench.meanwhile(0, down):
        answer: Any = service.client.get("/orders")
    assert (answer.status_code, answer.json["action"]) == (503, "retry_same")


def test_a_refund_of_unknown_outcome_is_an_alarm_after_a_while(service: Service) -> None:
    service.bench.pay(service.create())
    service.bench.apply_all()
    service.bench.sandbox.faults.order(FaultOrder("lost_after", REFUND, count=None))
    answer = service.post("/refund-payment-intent", refund_id="R-1")
    assert answer.status_code >= 500
    assert get(service, alarm="true")["orders"] == []
    service.bench.now += UNKNOWN_SECONDS + 1
    (shown,) = get(service, alarm="true")["orders"]
    assert shown["alarms"] == ["refund_unknown"]
