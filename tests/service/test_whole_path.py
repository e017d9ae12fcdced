"""Create, pay, receive the webhook, notify the shop: service and sandbox as processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.support.sandbox_process import WEBHOOK_SECRET, SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop_listener import ShopListener, until

SHOP_SECRET = "whsec_shop"


@pytest.fixture(scope="module")
def shop() -> Iterator[ShopListener]:
    with ShopListener() as listening:
        yield listening


@pytest.fixture(scope="module")
def stripe_box() -> Iterator[SandboxProcess]:
    with SandboxProcess() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    stripe_box: SandboxProcess, shop: ShopListener, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    environ = {
        "KEY_STORE_URL": f"sqlite:///{tmp_path_factory.mktemp('store')}/keys.db",
        "ORDER_EVENTS_URL": shop.url,
        "ORDER_EVENTS_SECRET": SHOP_SECRET,
        "REQUEST_BUDGET_SECONDS": "5",
    }
    with ServiceProcess(stripe_box.url, environ) as running:
        stripe_box.webhooks(url=f"{running.url}/webhook", secret=WEBHOOK_SECRET)
        yield running


def status(service: ServiceProcess, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = service.get("/payment-intent", order_id=order_id).json()
    return found


def test_paid_order_reaches_the_shop_once(
    service: ServiceProcess, stripe_box: SandboxProcess, shop: ShopListener
) -> None:
    intent_id = service.create("A-1").json()["payment_intent_id"]
    stripe_box.pay(intent_id)
    until(lambda: status(service, "A-1")["paid"])
    until(lambda: "A-1" in shop.orders("order.paid"))
    [(body, signed)] = shop.taken
    event: Any = stripe.Webhook.construct_event(body, signed, SHOP_SECRET)
    assert event["data"]["object"]["payment_intent_id"] == intent_id
    time.sleep(1.2)
    assert len(shop.taken) == 1


def test_duplicate_and_reordered_webhooks_reach_the_shop_once(
    service: ServiceProcess, stripe_box: SandboxProcess, shop: ShopListener
) -> None:
    kinds = ["double", "twin", "reorder", "double", "twin"]
    stripe_box.webhooks(detours=[{"kind": each, "count": 4} for each in kinds])
    shop.statuses = [500, 503, 302, 404, 500]
    orders = [f"D-{number}" for number in range(10)]
    for order_id in orders:
        intent_id = service.create(order_id).json()["payment_intent_id"]
        stripe_box.fail(intent_id)
        stripe_box.pay(intent_id)
    until(lambda: set(orders) <= set(shop.orders("order.paid")))
    until(lambda: all(status(service, each)["waiting"] == 0 for each in orders))
    assert all(status(service, each)["paid"] for each in orders)
    assert shop.refused == 5
    assert len([each for each in shop.orders("order.paid") if each in orders]) == len(orders)


@pytest.mark.parametrize("after_seconds", [0.0, 0.01, 0.03, 0.08, 0.2])
def test_killed_service_loses_no_event(
    service: ServiceProcess, stripe_box: SandboxProcess, shop: ShopListener, after_seconds: float
) -> None:
    order_id = f"K-{after_seconds}"
    stripe_box.webhooks(detours=[{"kind": "double", "type": "payment_intent.succeeded"}])
    shop.statuses = [500]
    intent_id = service.create(order_id).json()["payment_intent_id"]
    stripe_box.pay(intent_id)
    time.sleep(after_seconds)
    service.kill()
    service.start()
    again = service.create(order_id).json()
    assert (again["payment_intent_id"], again["status"]) == (intent_id, "succeeded")
    # A killed deliverer may have leased the event: the lease must expire first.
    until(lambda: order_id in shop.orders("order.paid"), seconds=45)
    until(lambda: status(service, order_id)["waiting"] == 0, seconds=45)
    assert shop.orders("order.paid").count(order_id) == 1
    assert stripe_box.state().order(order_id).payable == 1


def test_commands_repair_missed_webhooks(stripe_box: SandboxProcess, tmp_path: Path) -> None:
    """Without webhooks and deliveries, both commands repair the order while the service runs."""
    with ShopListener() as listening:
        environ = {
            "KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db",
            "ORDER_EVENTS_URL": listening.url,
            "ORDER_EVENTS_SECRET": SHOP_SECRET,
            "ORDER_EVENTS_DELIVERY": "separate",
            "STRIPE_WEBHOOK_SECRET": None,
            # A separate account: this store has no record of the other tests' payments.
            "STRIPE_SECRET_KEY": "sk_test_quiet",
        }
        with ServiceProcess(stripe_box.url, environ) as quiet:
            intent_id = quiet.create("R-1").json()["payment_intent_id"]
            stripe_box.pay(intent_id)
            counts = json.loads(quiet.command("reconcile", "--json"))
            assert (counts["paid_late"], counts["unresolved"]) == (1, 0)
            assert status(quiet, "R-1")["waiting"] == 1
            assert quiet.command("deliver", "--once") == "1 delivered\n"
            assert listening.orders("order.paid") == ["R-1"]
            assert json.loads(quiet.command("orders", "show", "R-1"))["paid"]
            assert json.loads(quiet.command("reconcile", "--json"))["paid_late"] == 0


def test_failed_debit_is_reported_and_payable_again(
    service: ServiceProcess, stripe_box: SandboxProcess, shop: ShopListener
) -> None:
    answer = service.create("ACH-1", payment_method_types=["us_bank_account"])
    intent_id = answer.json()["payment_intent_id"]
    paying = {
        "payment_method": "pm_usBankAccount_insufficientFunds",
        "return_url": "https://shop.example/done",
        "mandate_data[customer_acceptance][type]": "offline",
    }
    confirmed = stripe_box.send("POST", f"/v1/payment_intents/{intent_id}/confirm", paying)
    assert confirmed.status_code == 200, confirmed.text
    until(lambda: status(service, "ACH-1")["status"] == "processing")
    update = service.post("/update-payment-intent", {"order_id": "ACH-1", "amount": 1})
    assert (update.status_code, update.json()["code"]) == (409, "payment_processing")
    stripe_box.advance(4 * 86_400)
    until(lambda: "ACH-1" in shop.orders("order.failed"))
    again = service.create("ACH-1", payment_method_types=["us_bank_account"]).json()
    assert (again["payment_intent_id"], again["status"]) == (intent_id, "requires_payment_method")
