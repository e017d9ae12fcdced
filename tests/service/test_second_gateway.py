"""Stripe is silent: the service sells through PayPal, once, and clears what Stripe had made.

The service and both stand-ins run as processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from requests import Response

from tests.support.paypal_process import PayPalProcess
from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess, free_port
from tests.support.shop import API_KEYS, bearer, clients_file, entry
from tests.support.shop_listener import until
from tests.support.two_gateways import BOTH, SHOP, press, settings_of, silence

# Stripe's share of a request in these tests, and the time in which an order must be answered.
SHARE_SECONDS, MOST_SECONDS = 2.0, 10.0

ORDERS = "/v2/checkout/orders"


@pytest.fixture(scope="module")
def stripe_process() -> Iterator[SandboxProcess]:
    with SandboxProcess() as running:
        yield running


@pytest.fixture(scope="module")
def paypal_process() -> Iterator[PayPalProcess]:
    with PayPalProcess() as running:
        yield running


@pytest.fixture
def stripe(stripe_process: SandboxProcess) -> SandboxProcess:
    stripe_process.reset()
    return stripe_process


@pytest.fixture
def paypal(paypal_process: PayPalProcess) -> PayPalProcess:
    paypal_process.reset()
    return paypal_process


def service_of(
    stripe: SandboxProcess, paypal: PayPalProcess, directory: Path, **more: str
) -> ServiceProcess:
    """Return a service with one worker and a store that outlives it."""
    given = {
        "KEY_STORE_URL": f"sqlite:///{directory}/keys.db",
        "WEB_CONCURRENCY": "1",
        "FAILOVER_AFTER_SECONDS": f"{SHARE_SECONDS:g}",
        **more,
    }
    return ServiceProcess(stripe.url, settings_of(paypal, **given))


@pytest.fixture
def service(
    stripe: SandboxProcess, paypal: PayPalProcess, tmp_path: Path
) -> Iterator[ServiceProcess]:
    with service_of(stripe, paypal, tmp_path) as running:
        paypal.webhooks(url=f"{running.url}/webhook/paypal")
        yield running


def sold(answer: Response) -> dict[str, Any]:
    """Return an answer that sends the shopper to PayPal."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert (found["gateway"], found["status"], found["client_secret"]) == (
        "paypal",
        "requires_action",
        None,
    )
    return found


def captures(paypal: PayPalProcess, order_id: str) -> list[str]:
    return [each for order in paypal.orders(order_id) for each in order["captures"]]


def status(service: ServiceProcess, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = service.get("/payment-intent", order_id=order_id).json()
    return found


def lines(service: ServiceProcess, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


def test_order_is_sold_while_stripe_is_silent_and_stripe_is_cleared_afterwards(
    service: ServiceProcess, stripe: SandboxProcess, paypal: PayPalProcess
) -> None:
    silence(stripe)
    started = time.monotonic()
    first = sold(service.create("A-1", **BOTH))
    assert time.monotonic() - started < MOST_SECONDS
    assert sold(service.create("A-1", **BOTH)) == first
    back = press(first["redirect_url"])
    assert back.startswith(f"{SHOP}/paid?order=A-1&token={first['payment_intent_id']}")
    paid = service.create("A-1", **BOTH)
    assert paid.json() == {
        "payment_intent_id": first["payment_intent_id"],
        "client_secret": None,
        "status": "succeeded",
        "gateway": "paypal",
    }
    assert captures(paypal, "A-1") == ["COMPLETED"]
    assert stripe.state().order("A-1").payable == 1
    stripe.clear_faults()
    until(lambda: stripe.state().order("A-1").payable == 0, seconds=60)
    assert service.create("A-1", **BOTH).json()["status"] == "succeeded"
    assert captures(paypal, "A-1") == ["COMPLETED"]
    shown = status(service, "A-1")
    assert (shown["gateway"], shown["paid"], shown["attempt"]) == ("paypal", True, 2)
    assert {"switched", "captured"} <= {each["what"] for each in shown["history"]}


def test_paid_order_is_known_again_after_the_store_has_lost_it(
    stripe: SandboxProcess, paypal: PayPalProcess, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    with service_of(stripe, paypal, old) as service:
        silence(stripe)
        first = sold(service.create("L-1", **BOTH))
        stripe.clear_faults()
        press(first["redirect_url"])
        paid = service.create("L-1", **BOTH).json()
        assert paid["status"] == "succeeded"
        until(
            lambda: "witness" in [each["what"] for each in status(service, "L-1")["history"]],
            seconds=60,
        )
    with service_of(stripe, paypal, new) as service:
        assert service.create("L-1", **BOTH).json() == paid
        refused = service.create("L-1")
        assert refused.json()["code"] == "gateway_not_accepted"
    assert stripe.state().order("L-1").payable == 0
    assert captures(paypal, "L-1") == ["COMPLETED"]


@pytest.mark.alone
def test_every_order_is_answered_within_ten_seconds_with_the_default_settings(
    stripe: SandboxProcess, paypal: PayPalProcess, tmp_path: Path
) -> None:
    with service_of(stripe, paypal, tmp_path, FAILOVER_AFTER_SECONDS="") as service:
        silence(stripe)

        def seconds(number: int) -> float:
            started = time.monotonic()
            sold(service.create(f"T-{number}", **BOTH))
            return time.monotonic() - started

        with ThreadPoolExecutor(20) as pool:
            assert max(pool.map(seconds, range(20))) < MOST_SECONDS


def test_event_of_an_approval_completes_the_payment(
    service: ServiceProcess, stripe: SandboxProcess, paypal: PayPalProcess
) -> None:
    """The shopper closes the window on PayPal's page."""
    silence(stripe, "lost_before")
    first = sold(service.create("W-1", **BOTH))
    stripe.clear_faults()
    paypal.act(first["payment_intent_id"], "approve")
    until(lambda: status(service, "W-1")["paid"])
    assert captures(paypal, "W-1") == ["COMPLETED"]
    until(lambda: len(paypal.webhooks()["deliveries"]) == 2)
    assert [each["status"] for each in paypal.webhooks()["deliveries"]] == [200, 200]
    unsigned = service.post("/webhook/paypal", paypal.events()[0])
    assert (unsigned.status_code, unsigned.json()["code"]) == (400, "invalid_signature")


def test_request_that_accepts_only_stripe_is_answered_as_before(
    service: ServiceProcess, stripe: SandboxProcess
) -> None:
    working = service.create("S-1").json()
    assert list(working) == ["payment_intent_id", "client_secret", "status"]
    silence(stripe, "lost_before")
    failed = service.create("S-2")
    assert (failed.status_code, failed.json()["code"]) == (503, "stripe_unreachable")
    sold(service.create("S-3", **BOTH))
    refused = service.create("S-3")
    assert (refused.status_code, refused.json()["gateway"]) == (409, "paypal")
    assert refused.json()["code"] == "gateway_not_accepted"
    rail: Any = {"payment_method_types": ["us_bank_account"]}
    assert service.create("S-4", **rail, **BOTH).status_code == 503
    assert [line["field"] for line in lines(service, "failover_unsuited")] == [
        "payment_method_types"
    ]


def test_page_that_knows_only_paypal_is_served_there_or_told_why_not(
    service: ServiceProcess, stripe: SandboxProcess, paypal: PayPalProcess
) -> None:
    only_paypal: Any = {"accept_gateways": ["paypal"]}
    sold(service.create("P-1", **only_paypal))
    at_stripe = service.create("P-2", **BOTH).json()
    assert (at_stripe["gateway"], "redirect_url" in at_stripe) == ("stripe", False)
    refused = service.create("P-2", **only_paypal)
    assert (refused.status_code, refused.json()["gateway"]) == (409, "stripe")
    rail: Any = {"payment_method_types": ["us_bank_account"]}
    wrong = service.create("P-3", **rail, **only_paypal)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_parameter")
    assert "accept_gateways" in wrong.json()["error"]
    with ServiceProcess(stripe.url, {"WEB_CONCURRENCY": "1"}) as of_stripe_only:
        wrong = of_stripe_only.create("P-4", **only_paypal)
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_parameter")
        both = of_stripe_only.create("P-4", **BOTH).json()
        assert (both["gateway"], both["status"]) == ("stripe", "requires_payment_method")
        assert "gateway" not in status(of_stripe_only, "P-4")
    assert len(paypal.orders("P-1")) == 1


def test_shopper_who_goes_back_or_is_declined_can_try_again(
    service: ServiceProcess, stripe: SandboxProcess, paypal: PayPalProcess
) -> None:
    silence(stripe, "lost_before")
    first = sold(service.create("B-1", **BOTH))
    assert press(first["redirect_url"], "back").startswith(f"{SHOP}/cart?order=B-1")
    assert sold(service.create("B-1", **BOTH)) == first
    paypal.webhooks(url="http://127.0.0.1:9")
    press(first["redirect_url"], "decline")
    assert sold(service.create("B-1", **BOTH))["redirect_url"] == first["redirect_url"]
    press(first["redirect_url"])
    assert service.create("B-1", **BOTH).json()["status"] == "succeeded"
    assert captures(paypal, "B-1") == ["COMPLETED"]


def test_open_circuit_sells_at_once(
    service: ServiceProcess, stripe: SandboxProcess, paypal: PayPalProcess
) -> None:
    silence(stripe)
    with ThreadPoolExecutor(6) as pool:
        for answer in pool.map(lambda n: service.create(f"C-{n}", **BOTH), range(6)):
            sold(answer)
    assert lines(service, "circuit_opened")[0]["gateway"] == "stripe"
    times = []
    for number in range(6, 10):
        started = time.monotonic()
        sold(service.create(f"C-{number}", **BOTH))
        times.append(time.monotonic() - started)
    # At most one of them in each second was a probe, which waited for Stripe.
    assert min(times) < 0.5
    stripe.clear_faults()

    def is_back() -> bool:
        order_id = f"C-back-{time.monotonic()}"
        return bool(service.create(order_id, **BOTH).json()["gateway"] == "stripe")

    until(is_back)
    assert lines(service, "circuit_closed")


def test_changes_of_an_order_at_paypal(
    service: ServiceProcess, stripe: SandboxProcess, paypal: PayPalProcess
) -> None:
    silence(stripe, "lost_before")
    first = sold(service.create("U-1", **BOTH))
    updated = service.post("/update-payment-intent", {"order_id": "U-1", "amount": 2000})
    assert updated.status_code == 200, updated.text
    assert updated.json()["amount"] == 2000
    assert updated.json()["payment_intent_id"] != first["payment_intent_id"]
    second = sold(service.create("U-1", 2000, **BOTH))
    assert second["payment_intent_id"] == updated.json()["payment_intent_id"]
    canceled = service.post("/cancel-payment-intent", {"order_id": "U-1"})
    assert canceled.json()["status"] == "canceled"
    press(second["redirect_url"])
    stripe.clear_faults()
    third = service.create("U-1", 2000, **BOTH)
    assert third.json()["gateway"] == "stripe"
    assert captures(paypal, "U-1") == []


def test_metrics_and_the_start_line_name_both_gateways(
    stripe: SandboxProcess, paypal: PayPalProcess, tmp_path: Path
) -> None:
    port = free_port()
    with service_of(stripe, paypal, tmp_path, METRICS_PORT=str(port)) as service:
        silence(stripe, "lost_before")
        sold(service.create("M-1", **BOTH))
        shown = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        [started] = lines(service, "the service starts")
        failed = [line for line in lines(service, "sent") if line["gateway"] == "stripe"]
        last = lines(service, "request")
        show = json.loads(service.command("orders", "show", "M-1"))
    assert started["gateways"] == "stripe, paypal (failover on)"
    assert failed
    assert show["gateway"] == "paypal"
    values = dict(line.rsplit(" ", 1) for line in shown.splitlines() if line[0] != "#")
    assert values['payments_order_happenings_total{what="switched"}'] == "1.0"
    made = {"gateway": "paypal", "operation": f"POST {ORDERS}", "outcome": "ok"}
    labels = ",".join(f'{name}="{text}"' for name, text in made.items())
    assert values[f"payments_stripe_sends_total{{{labels}}}"] == "1.0"
    assert values['payments_circuit_open{gateway="stripe"}'] == "0.0"
    assert any("stripe_seconds" in line and "paypal_seconds" in line for line in last)


def test_credentials_are_checked_at_the_start(
    stripe: SandboxProcess, paypal: PayPalProcess, tmp_path: Path
) -> None:
    key = {"STRIPE_SECRET_KEY": "sk_test_good"}
    with service_of(stripe, paypal, tmp_path, **key) as service:
        until(lambda: bool(lines(service, "PayPal accepts the key")))
        [line] = lines(service, "PayPal accepts the key")
        assert line["setting"] == "PAYPAL_CLIENT_ID"


def test_clients_order_goes_to_its_own_app(
    stripe: SandboxProcess, paypal: PayPalProcess, tmp_path: Path
) -> None:
    own = (
        'stripe_secret_key = "sk_test_shopb"',
        'paypal_client_id = "app-b"',
        'paypal_client_secret = "secret-b"',
        f'paypal_return_url = "{SHOP}/b/{{order_id}}"',
    )
    path = clients_file(
        tmp_path, entry("shop-a", 'stripe_secret_key = "sk_test_shopa"'), entry("shop-b", *own)
    )
    with service_of(stripe, paypal, tmp_path, CLIENTS_FILE=str(path)) as service:
        silence(stripe, "lost_before")

        def create(client_id: str) -> Response:
            order = {"amount": 1099, "order_id": "A-1", **BOTH}
            proof = bearer(API_KEYS[client_id])["Authorization"]
            return service.post("/create-payment-intent", order, Authorization=proof)

        link = sold(create("shop-b"))["redirect_url"]
        assert press(link).startswith(f"{SHOP}/b/A-1?token=")
        # shop-a has its own Stripe account, and no app: the money would be another merchant's.
        assert create("shop-a").status_code == 503
        assert create("shop-b").json()["status"] == "succeeded"
    assert captures(paypal, "shop-b:A-1") == ["COMPLETED"]
    assert paypal.orders("shop-a:A-1") == []
