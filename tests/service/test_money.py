"""Capture, refunds and disputes with real processes: each once, killed or not."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from requests import Response

from tests.service.test_killed import (
    MOST_RECOVERY_SECONDS,
    RETRY_SECONDS,
    SLOW_SECONDS,
    a_day_passes,
    killed_in_mid_call,
    service_on,
    wait_until,
)
from tests.support.aging import record_of
from tests.support.sandbox_process import WEBHOOK_SECRET, SandboxProcess
from tests.support.servers import Postgres, Redis
from tests.support.service_process import ServiceProcess
from tests.support.shop_listener import ShopListener, until

REFUND = {"method": "POST", "path": "/v1/refunds"}
CAPTURE = {"method": "POST", "path": "/v1/payment_intents/pi_"}
CARD = {"payment_method": "pm_card_visa", "return_url": "https://shop.example"}

# Some of Stripe's events arrive twice, or after the next one.
DETOURS = [
    {"kind": "double", "type": "refund.created"},
    {"kind": "twin", "type": "charge.dispute.created"},
    {"kind": "reorder", "type": "charge.refunded"},
]


def confirmed(service: ServiceProcess, sandbox: SandboxProcess, **fields: Any) -> str:
    """Create the order A-1, and let the shopper confirm it."""
    intent_id = str(service.create("A-1", **fields).json()["payment_intent_id"])
    sandbox.send("POST", f"/v1/payment_intents/{intent_id}/confirm", CARD).raise_for_status()
    return intent_id


def refund(service: ServiceProcess, refund_id: str = "R-1", **fields: Any) -> Response:
    body = {"order_id": "A-1", "refund_id": refund_id, **fields}
    return service.post("/refund-payment-intent", body)


def refund_some(service: ServiceProcess) -> Response:
    return refund(service, amount=500)


def capture_some(service: ServiceProcess) -> Response:
    return service.post("/capture-payment-intent", {"order_id": "A-1", "amount_to_capture": 500})


def refunds(sandbox: SandboxProcess) -> list[int]:
    return [each["amount"] for each in sandbox.state().order("A-1").refunds]


def status(service: ServiceProcess) -> dict[str, Any]:
    found: dict[str, Any] = service.get("/payment-intent", order_id="A-1").json()
    return found


def test_fifty_identical_refunds_over_two_services_are_one(
    sandbox: SandboxProcess, postgres_server: Postgres
) -> None:
    url = postgres_server.new_url()
    environ = {"KEY_STORE_URL": url}
    with (
        ServiceProcess(sandbox.url, environ) as one,
        ServiceProcess(sandbox.url, environ) as two,
    ):
        confirmed(one, sandbox)
        with ThreadPoolExecutor(50) as pool:
            found = list(pool.map(lambda n: refund((one, two)[n % 2], amount=500), range(50)))
        assert {each.status_code for each in found} <= {200, 409}
        made = [each.json() for each in found if each.status_code == 200]
        assert {each["stripe_refund_id"] for each in made} == {made[0]["stripe_refund_id"]}
        assert refund(two, amount=500).headers["Idempotent-Replayed"] == "true"
    assert refunds(sandbox) == [500]
    assert sandbox.state().sends("POST /v1/refunds") == 1


def test_racing_refunds_never_exceed_what_was_received(
    sandbox: SandboxProcess, postgres_server: Postgres
) -> None:
    with (
        ServiceProcess(sandbox.url, {"KEY_STORE_URL": postgres_server.new_url()}) as one,
    ):
        confirmed(one, sandbox)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n: refund(one, f"R-{n}", amount=400), range(8)))
        codes = Counter(each.json().get("code", each.status_code) for each in found)
        assert refunds(sandbox) in ([400], [400, 400])
        assert codes[200] == len(refunds(sandbox))
        assert set(codes) <= {200, "amount_too_large", "in_flight"}


@pytest.mark.parametrize("budget", ["2", "25"])
@pytest.mark.parametrize("what", ["refund", "capture"])
def test_retries_recover_a_killed_call_in_seconds(
    sandbox: SandboxProcess, url: str, what: str, budget: str
) -> None:
    is_refund = what == "refund"
    ask = refund_some if is_refund else capture_some
    with service_on(sandbox, url, REQUEST_BUDGET_SECONDS=budget) as service:
        confirmed(service, sandbox, **({} if is_refund else {"capture_method": "manual"}))
        killed_in_mid_call(sandbox, service, REFUND if is_refund else CAPTURE, ask)
        service.start()
        started_at = time.monotonic()
        while ask(service).status_code != 200:
            time.sleep(RETRY_SECONDS)
        seconds = time.monotonic() - started_at
        print(f"{what}: {seconds:.1f} s from the start to 200")
        assert seconds < MOST_RECOVERY_SECONDS
        assert ask(service).headers["Idempotent-Replayed"] == "true"
        received = status(service)["amount_received"]
    assert (refunds(sandbox) == [500]) if is_refund else (received == 500)


@pytest.mark.parametrize("what", ["refund", "capture"])
def test_slow_call_keeps_its_lease_while_its_process_lives(
    sandbox: SandboxProcess, postgres_server: Postgres, what: str
) -> None:
    """Another service on the same store waits, although the call takes longer than a lease."""
    url, is_refund = postgres_server.new_url(), what == "refund"
    ask = refund_some if is_refund else capture_some
    match = REFUND if is_refund else CAPTURE
    with (
        service_on(sandbox, url, REQUEST_BUDGET_SECONDS="25") as service,
        service_on(sandbox, url, REQUEST_BUDGET_SECONDS="25") as other,
        ThreadPoolExecutor(2) as pool,
    ):
        confirmed(service, sandbox, **({} if is_refund else {"capture_method": "manual"}))
        sandbox.faults([{"kind": "slow", "match": match, "seconds": SLOW_SECONDS}])
        slow = pool.submit(ask, service)
        wait_until(lambda: bool(sandbox.fired().get("slow")))
        also = pool.submit(ask, other)
        assert [slow.result().status_code, also.result().status_code] == [200, 200]
    sends = {"refund": "POST /v1/refunds", "capture": "POST /v1/payment_intents/:id/capture"}
    assert sandbox.state().sends(sends[what]) == 1


def test_refund_killed_in_mid_call_happens_once_a_day_later(
    sandbox: SandboxProcess, url: str
) -> None:
    with service_on(sandbox, url) as service:
        confirmed(service, sandbox)
        killed_in_mid_call(sandbox, service, REFUND, refund_some)
        wait_until(lambda: refunds(sandbox) == [500])
        a_day_passes(sandbox, url)
        service.start()
        answer = refund_some(service)
        assert (answer.status_code, answer.json()["amount_refunded"]) == (200, 500)
        assert status(service)["refunds"][0]["status"] == "succeeded"
    assert refunds(sandbox) == [500]


@pytest.mark.parametrize(
    "kind", ["lost_after", "error_500_with_object", "error_500_without_object", "late_object"]
)
def test_failed_refund_is_one_refund_a_day_later(
    sandbox: SandboxProcess, postgres_server: Postgres, kind: str
) -> None:
    url = postgres_server.new_url()
    with service_on(sandbox, url) as service:
        confirmed(service, sandbox)
        sandbox.faults([{"kind": kind, "match": REFUND, "count": None, "seconds": 600}])
        refund(service, amount=500)
        sandbox.clear_faults()
        refund(service, amount=500)
        assert len(refunds(sandbox)) <= 1
        a_day_passes(sandbox, url)
        answer = refund(service, amount=500)
        assert (answer.status_code, answer.json()["amount_refunded"]) == (200, 500)
        a_day_passes(sandbox, url)
        assert refund(service, amount=500).json() == answer.json()
    assert refunds(sandbox) == [500]


def test_emptied_store_adopts_the_refund(sandbox: SandboxProcess, redis_server: Redis) -> None:
    with service_on(sandbox, redis_server.new_url()) as service:
        confirmed(service, sandbox)
        first = refund(service, amount=500).json()
        redis_server.run("FLUSHALL")
        again = refund(service, amount=500)
        assert (again.status_code, again.json()) == (200, first)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert refund(service, amount=400).json()["code"] == "refund_reused"
    assert refunds(sandbox) == [500]


def test_whole_path_of_the_money_is_heard_once_each(sandbox: SandboxProcess, url: str) -> None:
    """Authorize, capture a part, refund in two parts, dispute, and lose it."""
    with ShopListener() as shop:
        environ = {
            "KEY_STORE_URL": url,
            "ORDER_EVENTS_URL": shop.url,
            "ORDER_EVENTS_SECRET": "whsec_shop",
        }
        with ServiceProcess(sandbox.url, environ) as service:
            address = f"{service.url}/webhook"
            sandbox.webhooks(url=address, secret=WEBHOOK_SECRET, detours=DETOURS)
            intent_id = confirmed(service, sandbox, capture_method="manual")
            until(lambda: shop.orders("order.authorized") == ["A-1"])
            before = status(service)
            assert (before["status"], before["amount_received"]) == ("requires_capture", 0)
            assert before["capture_before"] > before["created_at"]

            body = {"order_id": "A-1", "amount_to_capture": 700}
            captured = service.post("/capture-payment-intent", body)
            expected = {
                "payment_intent_id": intent_id,
                "status": "succeeded",
                "amount_captured": 700,
            }
            assert captured.json() == expected
            again = service.post("/capture-payment-intent", body)
            assert (again.json(), again.headers["Idempotent-Replayed"]) == (expected, "true")
            other = service.post("/capture-payment-intent", {"order_id": "A-1"})
            assert (other.status_code, other.json()["code"]) == (409, "already_captured")
            assert other.json()["amount"] == 700

            assert refund(service, "R-1", amount=300).json()["amount_refunded"] == 300
            assert refund(service, "R-2", amount=100).json()["amount_refunded"] == 400
            refused = refund(service, "R-3", amount=301)
            assert (refused.status_code, refused.json()["code"]) == (400, "amount_too_large")

            dispute = sandbox.dispute(intent_id, amount=300)
            until(lambda: shop.orders("order.disputed") == ["A-1"])
            assert status(service)["disputed"]
            sandbox.change("disputes", dispute["id"], "lose")
            until(lambda: shop.orders("order.dispute_closed") == ["A-1"])
            until(lambda: len(shop.orders("order.refunded")) == 2)

            shown = status(service)
            assert (shown["amount_received"], shown["amount_refunded"]) == (700, 400)
            assert [each["refund_id"] for each in shown["refunds"]] == ["R-1", "R-2"]
            assert service.create("A-1", capture_method="manual").json()["status"] == "succeeded"
            printed = service.command("orders", "show", "A-1")
            assert '"amount_refunded": 400' in printed
            assert dispute["id"] in printed
            log = service.log()
    told = Counter(each["type"] for each in shop.told().values())
    assert told == {
        "order.authorized": 1,
        "order.paid": 1,
        "order.refunded": 2,
        "order.disputed": 1,
        "order.dispute_closed": 1,
    }
    assert len(shop.taken) == sum(told.values()), "an event was delivered twice"
    assert "Traceback" not in log
    record = record_of(url, "A-1")
    assert record
    assert record.payment_status == "succeeded"
