"""The front door: every route behind it, origins, rates, and one shape for every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from payment_service.schema.secret import Secret
from payment_service.settings import SettingsError
from payment_service.web import access_control
from tests.support.fake_payments import FakePayments, app_of, client_of
from tests.support.shop import API_KEYS, bearer, clients_file, entry, token

PATH = "/create-payment-intent"
ORDER = {"amount": 1099, "order_id": "A-1"}


def guarded(directory: Path, *entries: str, **settings: Any) -> tuple[FlaskClient, FakePayments]:
    """The service with clients shop-a and shop-b."""
    payments = FakePayments()
    path = clients_file(directory, *entries)
    return client_of(payments, clients_file=path, **settings), payments


def test_an_unauthenticated_request_sends_nothing_to_stripe(tmp_path: Path) -> None:
    client, payments = guarded(tmp_path)
    for headers in ({}, bearer("x"), bearer(token(secret="x" * 64)), bearer("a.b.c")):
        response = client.post(PATH, json=ORDER, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.get_json()["code"] == "unauthorized"
        assert response.get_json()["action"] == "fix_request"
    assert payments.asked == []


def test_the_token_sets_the_price(tmp_path: Path) -> None:
    client, payments = guarded(tmp_path)
    assert client.post(PATH, json={}, headers=bearer(token())).status_code == 200
    refused = client.post(PATH, json={**ORDER, "amount": 1}, headers=bearer(token()))
    assert (refused.status_code, refused.get_json()["code"]) == (403, "token_mismatch")
    assert [(p.amount, p.client_id) for p in payments.asked] == [(1099, "shop-a")]


def test_an_expired_token_says_so(tmp_path: Path) -> None:
    client, _ = guarded(tmp_path)
    response = client.post(PATH, json={}, headers=bearer(token(exp=1)))
    assert (response.status_code, response.get_json()["code"]) == (401, "token_expired")


def test_an_api_key_acts_for_its_client(tmp_path: Path) -> None:
    client, payments = guarded(tmp_path)
    assert client.post(PATH, json=ORDER, headers=bearer(API_KEYS["shop-b"])).status_code == 200
    assert payments.asked[0].client_id == "shop-b"


def test_every_route_that_is_not_public_is_closed(tmp_path: Path) -> None:
    app = app_of(FakePayments(), clients_file=clients_file(tmp_path))
    closed = {rule.endpoint for rule in app.url_map.iter_rules()} - access_control.PUBLIC
    assert "create_payment_intent" in closed
    for rule in app.url_map.iter_rules():
        for method in rule.methods or set():
            response = app.test_client().open(rule.rule, method=method)
            expected = rule.endpoint in closed and method != "OPTIONS"
            assert (response.status_code == 401) == expected, (rule.rule, method)


def test_a_new_route_is_closed(tmp_path: Path) -> None:
    app: Flask = app_of(FakePayments(), clients_file=clients_file(tmp_path))
    app.add_url_rule("/new", endpoint="new", view_func=lambda: "x")
    assert app.test_client().get("/new").status_code == 401


def test_a_wrong_clients_file_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CLIENTS_FILE: "):
        guarded(tmp_path, "[clients.a]")


def test_config_is_the_clients_own(tmp_path: Path) -> None:
    own = ['stripe_publishable_key = "pk_test_b"', 'stripe_account = "acct_b"']
    client, _ = guarded(
        tmp_path, entry("shop-a"), entry("shop-b", *own), stripe_publishable_key="pk_test_all"
    )
    found = {c: client.get("/config", query_string={"client_id": c}).get_json() for c in "ab"}
    assert found["a"] == {"publishable_key": "pk_test_all"}
    found = client.get("/config", query_string={"client_id": "shop-b"}).get_json()
    assert found == {"publishable_key": "pk_test_b", "stripe_account": "acct_b"}


@pytest.mark.parametrize("query", ["client_id=shop-a&client_id=shop-b", "client_id=\xff"])
def test_a_query_of_config_that_is_not_clear_is_refused(tmp_path: Path, query: str) -> None:
    client, _ = guarded(tmp_path, entry("shop-a"), entry("shop-b"))
    answer = client.get("/config", environ_overrides={"QUERY_STRING": query})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_parameter")
    assert answer.get_json()["error"].startswith("client_id: ")


# Origins.

SHOP = "https://shop-a.example"
LISTED = entry("shop-a", f'origins = ["{SHOP}"]')


def preflight(client: FlaskClient, origin: str, names: str = "authorization, content-type") -> Any:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": names,
    }
    return client.options(PATH, headers=headers)


@pytest.mark.parametrize("origin", [SHOP, "https://other.example"])
def test_a_listed_page_may_call(tmp_path: Path, origin: str) -> None:
    client, _ = guarded(tmp_path, LISTED, cors_origins="https://other.example")
    response = preflight(client, origin)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    allowed = response.headers["Access-Control-Allow-Headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    for answer in (
        client.post(PATH, json={}, headers={**bearer(token()), "Origin": origin}),
        client.post(PATH, json={}, headers={"Origin": origin}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def allowed_headers(response: Any) -> set[str]:
    allowed = response.headers.get("Access-Control-Allow-Headers", "")
    return {name.strip() for name in allowed.split(",")} - {""}


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "content-type",
        "x-request-id",
        "traceparent",
        "tracestate",
        "baggage",
        "sentry-trace",
        "idempotency-key",
        "x-datadog-trace-id",
        "x-b3-traceid",
        "b3",
        "newrelic",
        "elastic-apm-traceparent",
        "x-correlation-id",
        "x-amzn-trace-id",
    ],
)
def test_a_listed_page_may_send_a_header_of_its_tracing(tmp_path: Path, name: str) -> None:
    client, _ = guarded(tmp_path, LISTED)
    asked = f"content-type, {name}"
    assert allowed_headers(preflight(client, SHOP, asked)) == {"content-type", name}
    assert allowed_headers(preflight(client, "https://evil.example", asked)) == set()


@pytest.mark.parametrize("name", ["", "a b", "a:b", "\xe4", "a\tb", '"a"', "a;b", "(a)"])
def test_a_name_that_is_no_token_is_not_repeated(tmp_path: Path, name: str) -> None:
    client, _ = guarded(tmp_path, LISTED)
    answer = preflight(client, SHOP, f"content-type, {name}")
    assert allowed_headers(answer) == {"content-type"}


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://shop-a.example.evil.example",
        "http://shop-a.example",
        "https://shop-aXexample",
        "null",
        "https://shop-a.example:8443",
    ],
)
def test_no_other_page_may(tmp_path: Path, origin: str) -> None:
    client, _ = guarded(tmp_path, LISTED)
    for answer in (
        preflight(client, origin),
        client.post(PATH, json={}, headers={**bearer(token()), "Origin": origin}),
    ):
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_without_a_list_no_page_of_another_origin_may() -> None:
    assert "Access-Control-Allow-Origin" not in preflight(client_of(FakePayments()), SHOP).headers


# Rates.


def codes(client: FlaskClient, times: int, proof: str = "", **environ: str) -> list[int]:
    headers = bearer(proof) if proof else {}
    return [
        client.post(PATH, json=ORDER, headers=headers, environ_overrides=environ).status_code
        for _ in range(times)
    ]


def test_an_address_that_guesses_is_stopped(tmp_path: Path) -> None:
    client, _ = guarded(tmp_path, rate_limit_per_address=3)
    assert codes(client, 5, "guess") == [401, 401, 401, 429, 429]
    response = client.post(PATH, json=ORDER, headers=bearer(token()))
    assert response.status_code == 429
    assert response.get_json()["code"] == "too_many_requests"
    assert response.get_json()["action"] == "retry_same"
    assert 1 <= int(response.headers["Retry-After"]) <= 61
    assert codes(client, 1, token(), REMOTE_ADDR="192.0.2.1") == [200]
    assert client.get("/readyz").status_code == 200


def test_a_shops_server_is_not_counted_by_address(tmp_path: Path) -> None:
    client, _ = guarded(tmp_path, rate_limit_per_address=1)
    assert codes(client, 3, API_KEYS["shop-a"]) == [200, 200, 200]


def test_a_client_has_its_own_limit(tmp_path: Path) -> None:
    few = entry("shop-a", "requests_per_minute = 2")
    client, _ = guarded(tmp_path, few, entry("shop-b"), rate_limit_per_client=3)
    assert codes(client, 3, API_KEYS["shop-a"]) == [200, 200, 429]
    assert codes(client, 4, API_KEYS["shop-b"]) == [200, 200, 200, 429]


def test_open_access_has_no_limit_by_default() -> None:
    assert set(codes(client_of(FakePayments()), 320)) == {200}
    limited = client_of(FakePayments(), rate_limit_per_address=2)
    assert codes(limited, 3) == [200, 200, 429]


def test_forwarded_addresses_count_only_behind_trusted_proxies() -> None:
    def asked(trusted: int, forwarded: str) -> int:
        client = clients[trusted]
        return client.post(PATH, json=ORDER, headers={"X-Forwarded-For": forwarded}).status_code

    clients = {
        n: client_of(FakePayments(), rate_limit_per_address=1, trusted_proxies=n) for n in (0, 1)
    }
    # Without TRUSTED_PROXIES, X-Forwarded-For is ignored.
    assert [asked(0, "192.0.2.1"), asked(0, "192.0.2.2")] == [200, 429]
    # One proxy: what it wrote last counts, what the caller wrote before it does not.
    assert [asked(1, "192.0.2.1"), asked(1, "192.0.2.2")] == [200, 200]
    assert [asked(1, "10.0.0.1, 192.0.2.3"), asked(1, "10.0.0.2, 192.0.2.3")] == [200, 429]


def test_a_redis_that_is_down_does_not_close_the_shop() -> None:
    client = client_of(
        FakePayments(), rate_limit_per_address=2, key_store_url=Secret("redis://127.0.0.1:1")
    )
    assert codes(client, 3) == [200, 200, 429]
