"""The operator's page and API: who may open them, what they show, and what they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payment_service.errors import GatewayFailed
from payment_service.key_store.contract import Order
from payment_service.operator_page.pages import open_pages
from payment_service.payments.record import transitions
from tests.support.after_bench import AfterBench
from tests.support.fake_payments import FakePayments, client_of
from tests.support.flow_bench import NOW, order_record
from tests.support.operated import API, ENTRIES, Operated
from tests.support.shop import API_KEYS, OPERATOR_KEYS, bearer, entry, token

PAGE = Path(__file__).parents[3] / "payment_service" / "operator_page"
BEN = OPERATOR_KEYS["ben"]
ACTIONS = ("cancel", "capture", "refund", "resolve")
READS = ("me", "find", "order", "orders", "overdue", "totals")
ORDER = {"order_id": "A-1"}


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


@pytest.fixture
def operated(tmp_path: Path, bench: AfterBench) -> Operated:
    return Operated(tmp_path, bench)


def unknown(bench: AfterBench) -> None:
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask()


# Access.


def test_without_a_clients_file_there_is_no_page_and_no_api() -> None:
    client = client_of(FakePayments())
    paths = [*open_pages(), *(f"{API}/{each}" for each in READS)]
    for path in paths:
        if path.startswith("/operator"):
            assert client.get(path).status_code == 404, path
    for action in ACTIONS:
        assert client.post(f"{API}/{action}", json=ORDER).status_code == 404


def test_every_route_of_the_api_needs_an_operators_key(operated: Operated) -> None:
    for key in ("", "x", API_KEYS["shop-a"], token(), OPERATOR_KEYS["anna"] + "1"):
        for path in READS:
            answer = operated.get(path, key)
            assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized"), path
        for action in ACTIONS:
            assert operated.post(action, ORDER, key).status_code == 401


def test_every_route_below_the_api_is_an_operators(operated: Operated) -> None:
    """A route with another name would let in a shop's key."""
    rules = [r for r in operated.client.application.url_map.iter_rules() if f"{API}/" in r.rule]
    assert {each.rule.removeprefix(f"{API}/") for each in rules} == {*READS, *ACTIONS}
    assert all(each.endpoint.startswith("operator_") for each in rules)


def test_an_operators_key_opens_no_route_of_the_shops(operated: Operated) -> None:
    headers = bearer(OPERATOR_KEYS["anna"])
    order = {**ORDER, "amount": 1099}
    assert (
        operated.client.post("/create-payment-intent", json=order, headers=headers).status_code
        == 401
    )
    assert operated.client.get("/payment-intent?order_id=A-1", headers=headers).status_code == 401


def test_an_operator_learns_its_role(operated: Operated) -> None:
    assert operated.get("me").get_json() == {
        "operator": "anna",
        "role": "act",
        "clients": ["shop-a", "shop-b"],
        "all_clients": True,
        "livemode": False,
    }
    assert operated.get("me", BEN).get_json()["clients"] == ["shop-b"]


def test_a_reader_changes_nothing(operated: Operated, bench: AfterBench) -> None:
    bench.paid()
    before = bench.record()
    body = {**ORDER, "client_id": "shop-b", "refund_id": "R-1"}
    for action in ACTIONS:
        answer = operated.post(action, body, BEN)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
    refreshed = operated.get("order", BEN, **ORDER, client_id="shop-b", refresh="true")
    assert (refreshed.status_code, refreshed.get_json()["code"]) == (403, "forbidden")
    assert bench.record() == before


def test_an_operator_of_one_client_sees_no_other_orders(
    tmp_path: Path, operated: Operated, bench: AfterBench
) -> None:
    for client_id in ("shop-a", "shop-b", None):
        bench.records.claim(order_record(Order(False, client_id, "A-1")))
    assert operated.get("find", BEN, order_id="A-1").get_json() == {"clients": ["shop-b"]}
    assert operated.get("order", BEN, order_id="A-1", client_id="shop-b").status_code == 200
    for query in ({}, {"client_id": "shop-a"}):
        for path, more in (
            ("order", ORDER),
            ("orders", {}),
            ("overdue", {}),
            ("totals", {"since": "0", "until": "1"}),
        ):
            assert operated.get(path, BEN, **query, **more).status_code == 403, (path, query)
    assert operated.get("find", BEN, order_id="A-1", client_id="shop-a").get_json() == {
        "clients": []
    }


def test_guesses_count_against_the_address(tmp_path: Path, bench: AfterBench) -> None:
    operated = Operated(tmp_path, bench, rate_limit_per_address=3)
    codes = [operated.get("me", "guess").status_code for _ in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    assert operated.get("me").status_code == 200


def test_an_operator_has_a_limit_of_its_own(tmp_path: Path, bench: AfterBench) -> None:
    operated = Operated(tmp_path, bench, rate_limit_per_client=2)
    assert [operated.get("me").status_code for _ in range(3)] == [200, 200, 429]
    assert operated.get("me", BEN).status_code == 200


def test_no_page_of_a_shop_may_read_the_api(tmp_path: Path, bench: AfterBench) -> None:
    shop = "https://shop-a.example"
    entries = (entry("shop-a", f'origins = ["{shop}"]'), *ENTRIES[1:])
    client = Operated(tmp_path, bench, *entries).client
    for path, allowed in ((f"{API}/me", False), ("/operator", False), ("/payment-intent", True)):
        answer = client.get(path, headers={**bearer(OPERATOR_KEYS["anna"]), "Origin": shop})
        assert ("Access-Control-Allow-Origin" in answer.headers) == allowed, path
        preflight = client.options(
            path, headers={"Origin": shop, "Access-Control-Request-Method": "GET"}
        )
        assert ("Access-Control-Allow-Origin" in preflight.headers) == allowed, path


def test_an_action_needs_json(operated: Operated) -> None:
    """A form of another origin can send no other type without a preflight."""
    headers = bearer(OPERATOR_KEYS["anna"])
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = operated.client.post(
            f"{API}/cancel", data='{"order_id": "A-1"}', content_type=kind, headers=headers
        )
        assert answer.status_code == 415


# Reading.


def test_an_unknown_order_is_shown_with_what_explains_it(
    operated: Operated, bench: AfterBench
) -> None:
    unknown(bench)
    shown = operated.get("order", **ORDER).get_json()
    assert (shown["status"], shown["actions"], shown["gateway"]) == (
        "unknown",
        ["resolve"],
        "stripe",
    )
    assert shown["history"][-1]["what"] == "unknown"
    assert shown["history"][-1]["code"] == "stripe_unreachable"
    assert shown["key_is_safe_until"] == shown["first_sent_at"] + 23 * 3600
    assert shown["dashboard_url"] is None


def test_a_paid_order_offers_what_its_state_allows(operated: Operated, bench: AfterBench) -> None:
    intent_id = bench.paid()
    bench.refund("R-1", 500)
    shown = operated.get("order", **ORDER).get_json()
    assert (shown["actions"], shown["left"]) == (["resolve", "refund"], 599)
    assert shown["dashboard_url"] == f"https://dashboard.stripe.com/test/payments/{intent_id}"


def test_an_authorized_order_can_be_captured_or_canceled(
    operated: Operated, bench: AfterBench
) -> None:
    bench.authorized()
    shown = operated.get("order", **ORDER).get_json()
    assert set(shown["actions"]) == {"resolve", "capture", "cancel"}


def test_nothing_shown_has_a_client_secret(operated: Operated, bench: AfterBench) -> None:
    bench.paid()
    for path, query in (("order", ORDER), ("orders", {}), ("overdue", {})):
        assert "_secret_" not in operated.get(path, **query).get_data(as_text=True)


def test_an_order_number_is_found_at_every_client(operated: Operated, bench: AfterBench) -> None:
    for client_id in ("shop-b", None):
        bench.records.claim(order_record(Order(False, client_id, "B-1")))
    assert operated.get("find", order_id="B-1").get_json() == {"clients": [None, "shop-b"]}
    assert operated.get("find", order_id="B-2").get_json() == {"clients": []}
    missing = operated.get("order", order_id="B-2")
    assert (missing.status_code, missing.get_json()["code"]) == (404, "not_found")


def test_the_lists_select_unknown_orders_and_alarms(operated: Operated, bench: AfterBench) -> None:
    unknown(bench)
    bench.paid(order_id="B-1")
    names = [
        each["order_id"] for each in operated.get("orders", unknown="true").get_json()["orders"]
    ]
    assert names == ["A-1"]
    assert operated.get("orders", alarm="true").get_json()["orders"] == []
    assert len(operated.get("orders").get_json()["orders"]) == 2


def test_what_is_overdue_is_listed(operated: Operated, bench: AfterBench) -> None:
    bench.paid()
    assert operated.get("overdue").get_json()["orders"] == []
    bench.now += 3600
    [left] = operated.get("overdue").get_json()["orders"]
    assert (left["order_id"], left["open"]) == ("A-1", ["event_waits"])


def test_the_totals_are_those_of_the_period(operated: Operated, bench: AfterBench) -> None:
    bench.paid()
    bench.refund("R-1", 500)
    bench.now += 86_400
    bench.paid(order_id="B-1", amount=300)
    unknown_now(bench, "C-1")
    first, second = (
        operated.get("totals", since=str(start), until=str(start + 86_400)).get_json()
        for start in (NOW, NOW + 86_400)
    )
    assert (first["orders"], first["received"], first["refunded"]) == (
        1,
        {"usd": 1099},
        {"usd": 500},
    )
    assert (second["orders"], second["received"], second["refunded"]) == (2, {"usd": 300}, {})
    assert second["statuses"] == {"succeeded": 1, "unknown": 1}
    assert first["complete"]
    wrong = operated.get("totals", since="5", until="5")
    assert (wrong.status_code, wrong.get_json()["code"]) == (400, "invalid_parameter")


def unknown_now(bench: AfterBench, order_id: str) -> None:
    bench.break_creation("lost_after", count=3)
    with pytest.raises(GatewayFailed):
        bench.ask(order_id)


# Acting.


def test_an_action_returns_the_order_and_names_the_operator(
    operated: Operated, bench: AfterBench
) -> None:
    unknown(bench)
    shown = operated.post("resolve", ORDER).get_json()
    assert shown["status"] == "requires_payment_method"
    assert shown["history"][-1] == {
        **shown["history"][-1],
        "what": "created",
        "by": "operator:anna",
    }
    bench.act(shown["payment_intent_id"], "confirm")
    bench.apply_all()
    refunded = operated.post("refund", {**ORDER, "refund_id": "R-1", "amount": 500}).get_json()
    assert (refunded["amount_refunded"], refunded["left"]) == (500, 599)
    assert refunded["history"][-1]["by"] == "operator:anna"


def test_an_action_of_an_operator_cancels_and_captures(
    operated: Operated, bench: AfterBench
) -> None:
    bench.ask()
    assert (
        operated.post("cancel", {**ORDER, "reason": "abandoned"}).get_json()["status"] == "canceled"
    )
    bench.authorized(order_id="B-1")
    captured = operated.post("capture", {"order_id": "B-1", "amount_to_capture": 700}).get_json()
    assert (captured["status"], captured["amount_received"]) == ("succeeded", 700)


def test_a_refused_action_has_the_services_own_error(operated: Operated, bench: AfterBench) -> None:
    bench.ask()
    answer = operated.post("refund", {**ORDER, "refund_id": "R-1"})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "not_paid")
    answer = operated.post("cancel", {**ORDER, "reason": "boredom"})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_parameter")


def test_a_shopper_does_not_learn_who_acted(operated: Operated, bench: AfterBench) -> None:
    order = Order(False, "shop-a", "A-1")
    held = bench.records.claim(order_record(order))
    bench.records.change(
        held, lambda r: transitions.touched(r, NOW, "looked at", by="operator:anna")
    )
    for proof, seen in ((token(), False), (API_KEYS["shop-a"], True)):
        answer = operated.client.get("/payment-intent?order_id=A-1", headers=bearer(proof))
        [*_, last] = answer.get_json()["history"]
        assert (last["what"], "by" in last) == ("looked at", seen)


# The page.


def test_every_file_of_the_page_is_served_without_the_demo(operated: Operated) -> None:
    for path, page in open_pages().items():
        answer = operated.client.get(path)
        assert (answer.status_code, answer.data) == (200, page.body), path
        assert answer.headers["Content-Type"] == page.headers["Content-Type"]


def test_the_page_is_for_anyone_and_holds_nothing(operated: Operated) -> None:
    answer = operated.client.get("/operator")
    assert answer.status_code == 200
    headers = answer.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers
    assert '<meta name="robots" content="noindex">' in answer.text
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'self'", "'none'"}
    assert rules["frame-ancestors"] == "'none'"


def test_nothing_in_the_page_is_inline() -> None:
    text = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|<script(?![^>]* src=)|\sstyle=|\son\w+=", text)


def test_every_file_that_the_page_refers_to_is_served() -> None:
    pages = open_pages()
    for path, page in pages.items():
        text = page.body.decode()
        named = re.findall(r'"(/(?:operator|checkout)/[^"]+)"', text)
        named += [f"/operator/{name}" for name in re.findall(r'from "\./([^"]+)"', text)]
        named += [f"/checkout/{name}" for name in re.findall(r'from "\.\./checkout/([^"]+)"', text)]
        assert {each for each in named if "." in each} <= set(pages), path
    assert {f"/operator/{each.name}" for each in PAGE.glob("*.[cj]s*")} <= set(pages)


def test_no_module_sets_html_or_stores_anything() -> None:
    for module in PAGE.glob("*.js"):
        text = module.read_text()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "localStorage",
            "sessionStorage",
            "document.cookie",
            "eval(",
        ):
            assert word not in text, module.name


def test_an_operators_key_is_redacted_in_the_log() -> None:
    from payment_service.schema.secret import redacted

    assert OPERATOR_KEYS["anna"] not in redacted(f"said {OPERATOR_KEYS['anna']}")
