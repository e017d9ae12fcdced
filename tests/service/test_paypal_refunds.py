"""Refunds of orders that were paid at PayPal, with real processes: each once, killed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from requests import Response
from requests.exceptions import RequestException

from tests.service.test_killed_between_gateways import again
from tests.service.test_second_gateway import (
    paypal,
    paypal_process,
    service_of,
    sold,
    status,
    stripe,
    stripe_process,
)
from tests.support.paypal_process import PayPalProcess
from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop_listener import until
from tests.support.two_gateways import BOTH, press, silence

__all__ = ["paypal", "paypal_process", "stripe", "stripe_process"]

REFUND = {"method": "POST", "path": "/v2/payments/captures/"}


@pytest.fixture
def service(
    stripe: SandboxProcess, paypal: PayPalProcess, tmp_path: Path
) -> Iterator[ServiceProcess]:
    """Return a service that has sold the order A-1 at PayPal."""
    with service_of(stripe, paypal, tmp_path, REQUEST_BUDGET_SECONDS="6") as running:
        paypal.webhooks(url=f"{running.url}/webhook/paypal")
        silence(stripe, "lost_before")
        press(sold(running.create("A-1", **BOTH))["redirect_url"])
        again(running, "A-1")
        yield running


def refund(service: ServiceProcess, refund_id: str = "R-1", **fields: Any) -> Response:
    body = {"order_id": "A-1", "refund_id": refund_id, **fields}
    return service.post("/refund-payment-intent", body)


def refund_until_made(service: ServiceProcess, **fields: Any) -> Response:
    """Send the same refund again, as a shop does, until it is made."""
    answers: list[Response] = []

    def is_made() -> bool:
        answers.append(refund(service, **fields))
        assert answers[-1].status_code == 200 or answers[-1].json()["action"] == "retry_same"
        return answers[-1].status_code == 200

    until(is_made, seconds=60)
    return answers[-1]


def test_refund_goes_through_the_same_route(service: ServiceProcess, paypal: PayPalProcess) -> None:
    first = refund(service, amount=500)
    assert first.status_code == 200, first.text
    made = first.json()
    assert (made["amount"], made["currency"], made["status"]) == (500, "usd", "succeeded")
    again = refund(service, amount=500)
    assert again.json() == made
    assert again.headers["Idempotent-Replayed"] == "true"
    too_much = refund(service, "R-2", amount=600)
    assert (too_much.status_code, too_much.json()["code"]) == (400, "amount_too_large")
    assert paypal.refunds() == ["5.00"]
    shown = status(service, "A-1")
    assert (shown["status"], shown["amount_refunded"]) == ("succeeded", 500)


def test_dashboards_refund_arrives_as_an_event(
    service: ServiceProcess, paypal: PayPalProcess
) -> None:
    paypal.act(str(status(service, "A-1")["payment_intent_id"]), "refund", value="3.00")
    until(lambda: status(service, "A-1")["amount_refunded"] == 300)
    assert refund(service).json()["amount"] == 799


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_500_with_object"])
def test_refund_whose_answer_is_lost_is_made_once(
    service: ServiceProcess, paypal: PayPalProcess, kind: str
) -> None:
    paypal.faults([{"kind": kind, "match": REFUND, "count": None}])
    assert refund(service, amount=500).json()["action"] == "retry_same"
    paypal.clear_faults()
    assert refund_until_made(service, amount=500).json()["amount_refunded"] == 500
    assert paypal.refunds() == ["5.00"]


@pytest.mark.parametrize("executes", [False, True], ids=["before PayPal", "after PayPal"])
def test_killed_process_refunds_once_and_the_next_request_finishes(
    service: ServiceProcess, paypal: PayPalProcess, executes: bool
) -> None:
    paypal.faults([{"kind": "hang", "executes": executes, "match": REFUND}])
    _kill_during(service, lambda: paypal.fired().get("hang", 0) > 0)
    service.start()
    assert refund_until_made(service, amount=500).json()["amount_refunded"] == 500
    assert paypal.refunds() == ["5.00"]
    assert [each["status"] for each in status(service, "A-1")["refunds"]] == ["succeeded"]


def test_twenty_identical_refunds_are_one(service: ServiceProcess, paypal: PayPalProcess) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: refund(service, amount=500), range(20)))
    codes = {each.status_code for each in found}
    assert 200 in codes
    assert codes <= {200, 409}
    assert refund_until_made(service, amount=500).headers["Idempotent-Replayed"] == "true"
    assert paypal.refunds() == ["5.00"]


def _kill_during(service: ServiceProcess, has_struck: Callable[[], bool]) -> None:
    """Kill the service while it waits for PayPal's answer to a refund."""

    def ask() -> None:
        try:
            refund(service, amount=500)
        except RequestException:
            return

    with ThreadPoolExecutor(1) as pool:
        pool.submit(ask)
        until(has_struck)
        service.kill()
