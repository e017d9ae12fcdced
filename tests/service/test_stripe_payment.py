"""The helper functions in processes of their own, and next to the service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from stripe_payment import create_payment_intent, generate_idempotency_key
from tests.support.sandbox_process import SECRET_KEY, SandboxProcess
from tests.support.service_process import ServiceProcess

RACES = 12


def test_order_has_the_same_key_in_every_process() -> None:
    code = "from stripe_payment import generate_idempotency_key as k; print(k('A-1', 'shop'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == generate_idempotency_key("A-1", "shop")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as running:
        yield running


@pytest.fixture(scope="module")
def service(sandbox: SandboxProcess) -> Iterator[ServiceProcess]:
    with ServiceProcess(sandbox.url) as running:
        yield running


@pytest.fixture(autouse=True)
def helper_settings(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("STRIPE_API_BASE", sandbox.url)


def helper(
    order_id: str, amount: int = 1099, metadata: dict[str, str] | None = None
) -> stripe.PaymentIntent | None:
    key = generate_idempotency_key(order_id)
    return create_payment_intent(amount, metadata=metadata, idempotency_key=key)


# Fields of the service's request that the helper cannot send.
FIELDS: list[dict[str, Any]] = [{}, {"description": "Fruit"}]


@pytest.mark.parametrize("fields", FIELDS)
def test_the_service_adopts_the_helpers_payment_intent(
    service: ServiceProcess, sandbox: SandboxProcess, fields: dict[str, Any]
) -> None:
    order_id = f"helper-first-{len(fields)}"
    made = helper(order_id)
    assert made is not None
    for _ in range(2):
        answer = service.create(order_id, **fields)
        assert (answer.status_code, answer.json()["payment_intent_id"]) == (200, made.id)
    assert sandbox.state().order(order_id).ids == (made.id,)


def test_the_service_adopts_the_helpers_payment_intent_of_another_amount(
    service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    made = helper("other-amount")
    assert made is not None
    assert service.create("other-amount", 2000).json()["code"] == "order_reused"
    assert sandbox.state().order("other-amount").ids == (made.id,)
    status = service.get("/payment-intent", order_id="other-amount").json()
    assert (status["payment_intent_id"], status["amount"]) == (made.id, 1099)


@pytest.mark.parametrize("metadata", [{}, {"z": "1", "basket": "2"}])
def test_the_helper_returns_the_services_payment_intent(
    service: ServiceProcess, sandbox: SandboxProcess, metadata: dict[str, str]
) -> None:
    order_id = f"service-first-{len(metadata)}"
    intent_id = service.create(order_id, metadata=metadata).json()["payment_intent_id"]
    again = helper(order_id, metadata=metadata)
    assert again is not None
    assert again.id == intent_id
    assert sandbox.state().order(order_id).ids == (intent_id,)


def test_the_helper_creates_nothing_next_to_the_services_other_parameters(
    service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    intent_id = service.create("described", description="Fruit").json()["payment_intent_id"]
    assert helper("described") is None
    assert helper("described", 2000) is None
    assert sandbox.state().order("described").ids == (intent_id,)


def test_the_helper_returns_nothing_payable_after_a_second_attempt(
    service: ServiceProcess, sandbox: SandboxProcess
) -> None:
    first = service.create("again").json()["payment_intent_id"]
    service.post("/cancel-payment-intent", {"order_id": "again"})
    second = service.create("again").json()["payment_intent_id"]
    made = helper("again")
    assert made is not None
    assert made.id == first != second
    assert sandbox.state().order("again").statuses == ("canceled", "requires_payment_method")


def test_the_reconciler_cancels_the_helpers_payment_intent_of_the_next_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = {"KEY_STORE_URL": f"sqlite:///{tmp_path}/keys.db"}
    with SandboxProcess() as sandbox, ServiceProcess(sandbox.url, store) as service:
        monkeypatch.setenv("STRIPE_API_BASE", sandbox.url)
        first = service.create("A-1").json()["payment_intent_id"]
        sandbox.advance(25 * 3600)
        second = helper("A-1")
        assert second is not None
        assert second.id != first
        service.command("reconcile")
        order = sandbox.state().order("A-1")
        assert dict(zip(order.ids, order.statuses, strict=True)) == {
            first: "requires_payment_method",
            second.id: "canceled",
        }


@pytest.mark.parametrize("fields", FIELDS)
def test_a_race_of_helper_and_service_gives_one_payable_payment_intent(
    service: ServiceProcess, sandbox: SandboxProcess, fields: dict[str, Any]
) -> None:
    orders = [f"race-{len(fields)}-{number}" for number in range(RACES)]
    with ThreadPoolExecutor(2 * RACES) as pool:
        helped = [pool.submit(helper, order_id) for order_id in orders]
        served = [pool.submit(service.create, order_id, **fields) for order_id in orders]
    state = sandbox.state()
    for order_id, of_helper, of_service in zip(orders, helped, served, strict=True):
        made = of_helper.result()
        answers = [of_service.result(), service.create(order_id, **fields)]
        given = {each.json()["payment_intent_id"] for each in answers if each.status_code == 200}
        assert given | ({made.id} if made else set()) == set(state.order(order_id).ids)
        assert state.order(order_id).payable == 1
