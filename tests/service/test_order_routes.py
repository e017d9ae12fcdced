"""Webhook, status, update and cancel over HTTP, and the commands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stripe
from flask import Flask
from flask.testing import FlaskClient

from payment_service.key_store.contract import Order, StoreUnavailable
from payment_service.payments.payments import Payments
from payment_service.payments.recovery.reconcile import Reconciler
from payment_service.payments.shop_events.catalogue import KEEP_TRYING_SECONDS
from payment_service.schema.secret import Secret
from payment_service.settings import Settings
from payment_service.web.body import MAX_EVENT_BYTES
from sandbox.faults import FaultOrder, Match
from stripe_back_end_api import create_app
from tests.support.after_bench import AfterBench
from tests.support.key_stores import record
from tests.support.shop_listener import ShopListener

SECRET = "whsec_test"


class Service:
    """The whole service in this process, on the sandbox's core."""

    def __init__(self, **settings: Any) -> None:
        self.bench = AfterBench()
        given = {
            "stripe_webhook_secret": Secret(f"whsec_old,{SECRET}"),
            "key_store_url": Secret("sqlite:///never-opened.db"),
            **settings,
        }
        key = Secret("sk_test_shop")
        checked = Settings(stripe_secret_key=key, order_events_delivery="separate", **given)
        self.app: Flask = create_app(checked, Payments(self.bench.context, checked))
        self.client: FlaskClient = self.app.test_client()

    def create(self, order_id: str = "A-1", amount: int = 1099) -> str:
        body = {"order_id": order_id, "amount": amount}
        answer = self.client.post("/create-payment-intent", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json["payment_intent_id"]) if answer.json else ""

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json={"order_id": "A-1", **body})

    def webhook(
        self, event: Any, *, secret: str = SECRET, age: float = 0, header: str | None = None
    ) -> Any:
        payload = event if isinstance(event, str) else json.dumps(event)
        signed = stripe.WebhookSignature.generate_signature_header(
            payload, secret, int(time.time() - age)
        )
        headers = {"Stripe-Signature": signed if header is None else header}
        return self.client.post("/webhook", data=payload, headers=headers)

    def run(self, *arguments: str) -> Any:
        return self.app.test_cli_runner().invoke(args=list(arguments))


@pytest.fixture
def service() -> Service:
    return Service()


def paid_event(service: Service) -> dict[str, Any]:
    service.bench.pay(service.create())
    return service.bench.events()[-1]


def test_signed_event_is_applied(service: Service) -> None:
    answer = service.webhook(paid_event(service))
    assert (answer.status_code, answer.json) == (200, {"received": True, "outcome": "applied"})
    status = service.client.get("/payment-intent?order_id=A-1").json
    assert status is not None
    assert (status["status"], status["paid"], status["amount"]) == ("succeeded", True, 1099)


@pytest.mark.parametrize(
    "sent",
    [
        {"secret": "whsec_other"},
        {"secret": ""},
        {"header": ""},
        {"header": "t=,v1="},
        {"header": "nonsense"},
        {"header": f"t={int(time.time())}"},
        {"header": f"t={int(time.time())},v0=abc"},
        {"age": 301},
        {"age": -400},
        {"age": 3 * 86_400},
    ],
)
def test_event_without_a_fresh_signature_changes_nothing(
    service: Service, sent: dict[str, Any]
) -> None:
    event = paid_event(service)
    before = service.bench.record()
    answer = service.webhook(event, **sent)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_signature")
    assert service.bench.record() == before


def test_changed_body_changes_nothing(service: Service) -> None:
    event = json.dumps(paid_event(service))
    signed = stripe.WebhookSignature.generate_signature_header(event, SECRET)
    headers = {"Stripe-Signature": signed}
    answer = service.client.post("/webhook", data=event + " ", headers=headers)
    assert answer.status_code == 400


def test_each_of_several_secrets_is_valid(service: Service) -> None:
    event = paid_event(service)
    assert service.webhook(event, secret="whsec_old", age=200).status_code == 200


def test_without_a_secret_every_event_is_rejected() -> None:
    service = Service(stripe_webhook_secret=None)
    answer = service.webhook(paid_event(service))
    assert (answer.status_code, answer.json["code"]) == (400, "webhook_secret_missing")
    assert service.bench.record().payment_status == "requires_payment_method"


def test_event_of_another_type_is_accepted_and_ignored(service: Service) -> None:
    answer = service.webhook({"id": "evt_1", "type": "charge.refunded", "livemode": False})
    assert (answer.status_code, answer.json["outcome"]) == (200, "ignored")


@pytest.mark.parametrize("payload", ["", "[]", "{", "7", "[" * 100_000])
def test_signed_body_that_is_no_event_is_a_400(service: Service, payload: str) -> None:
    answer = service.webhook(payload)
    assert (answer.status_code, answer.json["action"]) == (400, "fix_request")


def test_event_size_limit(service: Service) -> None:
    event = {**paid_event(service), "padding": "x" * 300_000}
    assert service.webhook(event).status_code == 200
    assert service.webhook("x" * (MAX_EVENT_BYTES + 1)).status_code == 413


def test_event_that_cannot_be_applied_is_a_5xx(service: Service) -> None:
    event = paid_event(service)

    def down() -> None:
        raise StoreUnavailable

    with service.bench.meanwhile(0, down):
        answer = service.webhook(event)
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
    assert service.webhook(event).json["outcome"] == "applied"


def test_status_never_shows_a_secret(service: Service) -> None:
    service.create()
    answer = service.client.get("/payment-intent?order_id=A-1&refresh=true")
    assert answer.status_code == 200
    assert "secret" not in answer.text
    assert answer.json is not None
    assert [each["what"] for each in answer.json["history"]] == ["claimed", "created"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("order_id=nobody", 404, "not_found"),
        ("order_id=A-1&client_id=another", 404, "not_found"),
        ("", 400, "missing_parameter"),
        ("order_id=", 400, "invalid_parameter"),
        ("order_id=A-1&refresh=yes", 400, "invalid_parameter"),
        ("order_id=A-1&orderid=2", 400, "invalid_parameter"),
    ],
)
def test_status_errors(service: Service, query: str, status: int, code: str) -> None:
    service.create()
    answer = service.client.get(f"/payment-intent?{query}")
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("order_id=A-1&order_id=A-2", "order_id: is given more than once"),
        ("order_id=A-1&order_id=A-1", "order_id: is given more than once"),
        ("order_id=A-1&refresh=true&refresh=false", "refresh: is given more than once"),
        ("order_id=A-1&order%5Fid=", "order_id: is given more than once"),
        ("order_id=A-1&x-y=1&x-y=2", '"x-y": is given more than once'),
        ("order_id=%ff", "order_id: must be text in UTF-8"),
        ("order_id=A-1&client_id=%ed%a0%80", "client_id: must be text in UTF-8"),
        ("order_id=A-1&%ff=1", '"\\udcff": must be text in UTF-8'),
        ("order_id=A-1&order-id=2", '"order-id": is not a field of this request'),
    ],
)
def test_ambiguous_query_is_rejected(service: Service, query: str, told: str) -> None:
    service.create()
    answer = service.client.get(f"/payment-intent?{query}")
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_parameter")
    assert answer.json["error"].startswith(told)


@pytest.mark.parametrize(
    "query", ["order_id=Z\xc3\xbc-1", "order_id=Z%C3%BC%2D1", "order_id=Z\xff"]
)
def test_query_may_contain_raw_bytes(service: Service, query: str) -> None:
    """A WSGI server passes a query with one character for each byte."""
    service.create("Zü-1")
    path = "/payment-intent"
    answer = service.client.get(path, environ_overrides={"QUERY_STRING": query})
    assert answer.status_code == (400 if "\xff" in query else 200)


def test_update_and_its_replay(service: Service) -> None:
    intent_id = service.create()
    answer = service.post("/update-payment-intent", amount=1500, expected_amount=1099)
    assert answer.json == {
        "payment_intent_id": intent_id,
        "status": "requires_payment_method",
        "amount": 1500,
        "currency": "usd",
        "revision": 1,
    }
    again = service.post("/update-payment-intent", amount=1500, expected_amount=1099)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    assert service.create(amount=1500) == intent_id


def test_update_conflict_reports_the_current_state(service: Service) -> None:
    service.create()
    answer = service.post("/update-payment-intent", amount=1500, expected_amount=1)
    assert answer.status_code == 409
    told = {name: answer.json[name] for name in ("code", "action", "amount", "revision")}
    assert told == {"code": "changed", "action": "fix_request", "amount": 1099, "revision": 0}


@pytest.mark.parametrize("path", ["/update-payment-intent", "/cancel-payment-intent"])
def test_paid_order_reports_that_it_is_paid(service: Service, path: str) -> None:
    service.bench.pay(service.create())
    amount = {"amount": 1500} if "update" in path else {}
    answer = service.post(path, **amount)
    assert answer.status_code == 409
    assert (answer.json["code"], answer.json["status"]) == ("payment_succeeded", "succeeded")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/update-payment-intent", {}, "missing_parameter"),
        ("/update-payment-intent", {"amount": 0}, "invalid_parameter"),
        ("/update-payment-intent", {"amount": 5, "amuont": 6}, "invalid_parameter"),
        ("/update-payment-intent", {"amount": 5, "expected_amount": "4"}, "invalid_parameter"),
        ("/update-payment-intent", {"amount": 5, "metadata": {"order_id": "B"}}, None),
        (
            "/update-payment-intent",
            {"amount": 5, "metadata": {str(n): "" for n in range(50)}},
            None,
        ),
        ("/cancel-payment-intent", {"reason": "bored"}, "invalid_parameter"),
        ("/cancel-payment-intent", {"order_id": ""}, "invalid_parameter"),
    ],
)
def test_bad_request_changes_nothing(
    service: Service, path: str, body: dict[str, Any], code: str | None
) -> None:
    service.create()
    before = service.bench.record()
    answer = service.post(path, **body)
    assert (answer.status_code, answer.json["code"]) == (400, code or "invalid_parameter")
    assert service.bench.record() == before


def test_canceled_order_gets_a_new_attempt(service: Service) -> None:
    first = service.create()
    for _ in range(2):
        answer = service.post("/cancel-payment-intent", reason="abandoned")
        assert (answer.status_code, answer.json["status"]) == (200, "canceled")
    assert service.create() != first


def test_reconcile_prints_a_table(service: Service) -> None:
    service.bench.pay(service.create())
    ran = service.run("reconcile", "--since", "2020-01-01")
    assert ran.exit_code == 0, ran.output
    rows = dict(line.rsplit(maxsplit=1) for line in ran.output.splitlines())
    assert (rows["checked"], rows["paid late"], rows["unresolved"]) == ("1", "1", "0")


def test_reconcile_exit_code_reports_a_double_payment(service: Service) -> None:
    own = service.create()
    service.bench.pay(own)
    stray = service.bench.stray("A-1")
    service.bench.pay(stray)
    service.bench.apply_all()
    ran = service.run("reconcile", "--json", "--since", "2020-01-01")
    assert ran.exit_code == 2
    found = json.loads(ran.output)
    alarm = f"two_paid: order 'A-1' {stray} and {own}"
    assert (found["two_paid"], found["alarms"]) == (1, [alarm])


def test_dry_reconcile_changes_nothing(service: Service) -> None:
    service.bench.pay(service.create())
    before = service.bench.record()
    ran = service.run("reconcile", "--dry-run", "--json", "--since", "2020-01-01")
    assert json.loads(ran.output)["paid_late"] == 1
    assert service.bench.record() == before


def test_reconcile_rejects_an_invalid_since(service: Service) -> None:
    ran = service.run("reconcile", "--since", "yesterday")
    assert ran.exit_code == 2
    assert "must be like" in ran.output


def test_orders_show_prints_an_order(service: Service) -> None:
    intent_id = service.create()
    shown = json.loads(service.run("orders", "show", "A-1").output)
    assert (shown["payment_intent_id"], shown["status"]) == (intent_id, "requires_payment_method")
    missing = service.run("orders", "show", "nobody")
    assert (missing.exit_code, missing.output) == (1, "Error: This order is not known.\n")


def listed(service: Service, *options: str) -> list[dict[str, Any]]:
    ran = service.run("orders", "list", "--json", *options)
    assert ran.exit_code == 0, ran.output
    return [json.loads(line) for line in ran.stdout.splitlines()]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["order_id"] for each in found]


@pytest.fixture
def four_orders(service: Service) -> Service:
    """Orders that changed an hour apart: paid, open, canceled, and one of unknown outcome."""
    service.webhook(paid_event(service))
    for order_id in ("open", "canceled"):
        service.bench.now += 3600
        service.create(order_id)
    service.client.post("/cancel-payment-intent", json={"order_id": "canceled"})
    service.bench.now += 3600
    service.bench.break_creation("lost_after", count=3)
    body = {"order_id": "lost", "amount": 1099}
    assert service.client.post("/create-payment-intent", json=body).status_code == 503
    return service


def test_orders_are_listed_by_status_newest_first(four_orders: Service) -> None:
    assert names(listed(four_orders)) == ["lost", "canceled", "open", "A-1"]
    assert names(listed(four_orders, "--unknown")) == ["lost"]
    assert names(listed(four_orders, "--status", "unknown")) == ["lost"]
    chosen = "--status", "succeeded", "--status", "requires_payment_method"
    assert names(listed(four_orders, *chosen)) == ["open", "A-1"]
    assert "is not one of" in four_orders.run("orders", "list", "--status", "paid").output


def test_orders_are_listed_by_time_and_times_are_iso(four_orders: Service) -> None:
    found = listed(four_orders)
    assert len(found) == 4
    now = datetime.fromtimestamp(four_orders.bench.now, UTC)
    for number, each in enumerate(found):
        assert each["updated_at"].endswith("Z")
        age = now - datetime.fromisoformat(each["updated_at"])
        assert abs(age.total_seconds() - 3600 * number) < 60
    middle = four_orders.bench.record("canceled").updated_at - 1
    middle = datetime.fromtimestamp(middle, UTC).isoformat()
    assert names(listed(four_orders, "--since", middle)) == ["lost", "canceled"]
    assert names(listed(four_orders, "--until", middle)) == ["open", "A-1"]


def test_orders_list_says_that_it_leaves_some_out(four_orders: Service) -> None:
    ran = four_orders.run("orders", "list", "--limit", "2", "--json")
    assert names([json.loads(line) for line in ran.stdout.splitlines()]) == ["lost", "canceled"]
    assert ran.stderr == "older ones are not shown: see --limit\n"


def test_orders_list_prints_a_table(four_orders: Service) -> None:
    heading, *rows = four_orders.run("orders", "list").stdout.splitlines()
    assert heading.split() == [
        *("updated", "status", "order", "client", "amount", "PaymentIntent", "alarms")
    ]
    assert [row.split()[1:3] for row in rows] == [
        ["unknown", "lost"],
        ["canceled", "canceled"],
        ["requires_payment_method", "open"],
        ["succeeded", "A-1"],
    ]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", row) for row in rows)


def test_orders_with_an_alarm_are_listed(service: Service) -> None:
    """A second payment, and an order event that was given up."""
    own = service.create()
    service.bench.pay(own)
    stray = service.bench.stray("A-1")
    service.bench.pay(stray)
    service.bench.apply_all()
    service.create("fine")
    service.bench.pay(service.create("parked"))
    service.bench.apply_all("parked")
    service.bench.deliver()
    service.bench.shop.down = True
    service.bench.pay(service.create("given-up"))
    service.bench.apply_all("given-up")
    service.bench.now += KEEP_TRYING_SECONDS
    service.bench.deliver()
    found = {each["order_id"]: each["alarms"] for each in listed(service, "--alarms")}
    assert found == {"A-1": ["two_paid"], "given-up": ["event_parked"]}


def test_orders_list_is_about_one_client_and_one_mode(service: Service) -> None:
    for client_id in ("shop-a", "shop-b", None):
        body = {"order_id": "A-1", "amount": 1099, "client_id": client_id}
        service.client.post("/create-payment-intent", json=body)
    service.bench.store.claim(record(Order(livemode=True, client_id=None, order_id="live")))
    assert [each["client_id"] for each in listed(service, "--client", "shop-a")] == ["shop-a"]
    assert names(listed(service)) == ["A-1"] * 3


def test_orders_show_prints_iso_times(service: Service) -> None:
    service.create()
    shown = json.loads(service.run("orders", "show", "A-1").output)
    times = [shown["created_at"], shown["updated_at"], *(each["at"] for each in shown["history"])]
    assert all(datetime.fromisoformat(each).tzinfo == UTC for each in times)


def test_reconcile_leaves_its_numbers_for_prometheus(service: Service, tmp_path: Path) -> None:
    service.bench.pay(service.create())
    path = tmp_path / "payments.prom"
    ran = service.run("reconcile", "--since", "2020-01-01", "--metrics-file", str(path))
    assert ran.exit_code == 0
    text = path.read_text()
    assert 'payments_reconcile_orders{outcome="paid_late"} 1.0' in text
    assert 'payments_reconcile_orders{outcome="two_paid"} 0.0' in text
    finished = re.search(r"^payments_reconcile_finished_timestamp_seconds (\S+)$", text, re.M)
    assert finished
    assert abs(float(finished[1]) - time.time()) < 60
    missing = service.run("reconcile", "--metrics-file", str(tmp_path / "no" / "x.prom"))
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("case", "level"), [("two paid", "ERROR"), ("unresolved", "WARNING"), ("fine", "INFO")]
)
def test_reconcile_logs_its_result_at_the_level_of_the_worst(
    service: Service, caplog: pytest.LogCaptureFixture, case: str, level: str
) -> None:
    caplog.set_level("INFO")
    if case == "two paid":
        service.bench.pay(service.create())
        service.bench.pay(service.bench.stray("A-1"))
    elif case == "unresolved":
        service.bench.break_creation("lost_before", count=3)
        service.client.post("/create-payment-intent", json={"order_id": "A-1", "amount": 1099})
    dry = ["--dry-run"] if case == "unresolved" else []
    service.run("reconcile", "--since", "2020-01-01", *dry)
    [line] = [each for each in caplog.records if each.getMessage() == "reconciled"]
    facts = vars(line)
    assert (line.levelname, facts["two_paid"], facts["unresolved"], facts["dry_run"]) == (
        *(level, int(case == "two paid"), int(case == "unresolved"), bool(dry)),
    )


def test_reconcile_that_breaks_off_logs_an_error(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.bench.sandbox.faults.order(FaultOrder("lost_before", Match(method="GET"), count=99))
    ran = service.run("reconcile")
    assert ran.exit_code == 1
    [line] = [each for each in caplog.records if each.getMessage() == "reconcile_failed"]
    assert line.levelname == "ERROR"


def test_reconcile_that_meets_a_bug_logs_an_error_too(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Iterator[object]:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(Reconciler, "steps", fail)
    assert service.run("reconcile").exit_code == 1
    [line] = [each for each in caplog.records if each.getMessage() == "reconcile_failed"]
    assert vars(line)["reason"].startswith("UnicodeEncodeError: ")


def test_deliver_without_a_listener_is_an_error(service: Service) -> None:
    ran = service.run("deliver", "--once")
    assert (ran.exit_code, ran.output) == (
        1,
        "Error: Order events have no receiver: set ORDER_EVENTS_URL, or order_events_url in the "
        "clients file\n",
    )


@pytest.mark.parametrize("arguments", [["a\udcff"], ["A-1", "--client", "a\udcff"], [""]])
def test_command_rejects_an_invalid_order_id(service: Service, arguments: list[str]) -> None:
    ran = service.run("orders", "show", *arguments)
    assert ran.exit_code == 2
    assert "printable characters" in ran.output


def test_deliver_sends_due_events() -> None:
    with ShopListener([500]) as shop:
        service = Service(order_events_url=shop.url, order_events_secret=Secret("whsec_shop"))
        service.webhook(paid_event(service))
        assert service.run("deliver", "--once").output == "0 delivered\n"
        service.bench.now += 2
        assert service.run("deliver", "--once").output == "1 delivered\n"
        [(body, signed)] = shop.taken
    # The signature has the time of the service's clock, which runs ahead here.
    event: Any = stripe.Webhook.construct_event(body, signed, "whsec_shop")
    assert event["type"] == "order.paid"


@pytest.mark.parametrize("command", ["reconcile", "deliver --once", "orders list --unknown"])
def test_command_rejects_the_memory_store(command: str) -> None:
    service = Service(key_store_url=Secret("memory://"))
    ran = service.run(*command.split())
    assert ran.exit_code == 1
    assert "only the service itself can see" in ran.output
