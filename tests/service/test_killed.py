"""The same order before and after kill -9 during a call, a restart, and a day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from requests import Response

from tests.support.aging import age, record_of
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import Redis
from tests.support.service_process import ServiceProcess

DAY_AND_AN_HOUR = 25 * 3600.0

SETTINGS = {"REQUEST_BUDGET_SECONDS": "2", "WEB_CONCURRENCY": "1"}

# From the kill to the answer, with the start of the service in between.
MOST_RECOVERY_SECONDS = 8.0
RETRY_SECONDS = 0.2

# A call that outlives a lease.
SLOW_SECONDS = 6.0

CREATION = {"method": "POST", "path": "/v1/payment_intents$"}


def test_order_survives_a_restart_and_a_day(sandbox: SandboxProcess, url: str) -> None:
    with service_on(sandbox, url) as service:
        first = service.create("A-1").json()["payment_intent_id"]
        service.kill()
        service.start()
        assert service.create("A-1").json()["payment_intent_id"] == first
        a_day_passes(sandbox, url)
        assert service.create("A-1").json()["payment_intent_id"] == first
        service.kill()
        a_day_passes(sandbox, url)
        service.start()
        again = service.create("A-1")
        assert (again.status_code, again.json()["payment_intent_id"]) == (200, first)
    assert sandbox.state().order("A-1").count == 1


@pytest.mark.parametrize("budget", ["2", "25"])
def test_retries_recover_a_killed_call_in_seconds(
    sandbox: SandboxProcess, url: str, budget: str
) -> None:
    with service_on(sandbox, url, REQUEST_BUDGET_SECONDS=budget) as service:
        killed_at = killed_in_mid_call(sandbox, service)
        service.start()
        while service.create("A-1").status_code != 200:
            time.sleep(RETRY_SECONDS)
        seconds = time.monotonic() - killed_at
        print(f"{seconds:.1f} s from kill -9 to 200")
        assert seconds < MOST_RECOVERY_SECONDS
    order = sandbox.state().order("A-1")
    assert (order.count, order.payable, sandbox.state().payment_intents) == (1, 1, 1)


def test_slow_call_keeps_its_order_while_its_process_lives(
    sandbox: SandboxProcess, url: str
) -> None:
    """Another service on the same store waits, although the call takes longer than a lease."""
    sandbox.faults([{"kind": "slow", "match": CREATION, "seconds": SLOW_SECONDS}])
    with (
        service_on(sandbox, url, REQUEST_BUDGET_SECONDS="25") as service,
        service_on(sandbox, url, REQUEST_BUDGET_SECONDS="25") as other,
        ThreadPoolExecutor(2) as pool,
    ):
        slow = pool.submit(service.create, "A-1")
        wait_until(lambda: bool(sandbox.fired().get("slow")))
        also = pool.submit(other.create, "A-1")
        assert [slow.result().status_code, also.result().status_code] == [200, 200]
    assert sandbox.state().sends("POST /v1/payment_intents") == 1


def test_request_a_day_later_recovers_a_killed_call(sandbox: SandboxProcess, url: str) -> None:
    with service_on(sandbox, url) as service:
        killed_in_mid_call(sandbox, service)
        wait_until(lambda: sandbox.state().payment_intents == 1)
        a_day_passes(sandbox, url)
        service.start()
        assert service.create("A-1").status_code == 200
    order = sandbox.state().order("A-1")
    assert (order.count, order.payable) == (1, 1)


def test_memory_store_survives_a_kill_within_the_day(sandbox: SandboxProcess) -> None:
    """Stripe keeps the key for a day, and the key is a pure function of the order."""
    with service_on(sandbox, "memory://") as service:
        first = service.create("A-1").json()["payment_intent_id"]
        service.kill()
        service.start()
        again = service.create("A-1")
        assert again.json()["payment_intent_id"] == first
        assert again.headers["Idempotent-Replayed"] == "true"
    assert sandbox.state().order("A-1").count == 1


def test_redis_that_lost_its_data_gives_no_second_intent(
    sandbox: SandboxProcess, redis_server: Redis
) -> None:
    with service_on(sandbox, redis_server.new_url()) as service:
        first = service.create("A-1").json()["payment_intent_id"]
        redis_server.run("FLUSHALL")
        again = service.create("A-1")
        assert (again.status_code, again.json()["payment_intent_id"]) == (200, first)
    assert sandbox.state().order("A-1").count == 1


@contextmanager
def service_on(sandbox: SandboxProcess, url: str, **more: str) -> Iterator[ServiceProcess]:
    with ServiceProcess(sandbox.url, {**SETTINGS, "KEY_STORE_URL": url, **more}) as service:
        yield service


def create_it(service: ServiceProcess) -> Response:
    return service.create("A-1")


def killed_in_mid_call(
    sandbox: SandboxProcess,
    service: ServiceProcess,
    call: dict[str, str] = CREATION,
    ask: Callable[[ServiceProcess], Response] = create_it,
) -> float:
    """Kill the service while Stripe works on the call of `ask`; return when (time.monotonic)."""
    sandbox.faults([{"kind": "slow", "match": call, "seconds": 1.0}])
    asking = threading.Thread(target=_ask_in_vain, args=(service, ask))
    asking.start()
    wait_until(lambda: bool(sandbox.fired().get("slow")))
    killed_at = time.monotonic()
    service.kill()
    asking.join()
    return killed_at


def _ask_in_vain(service: ServiceProcess, ask: Callable[[ServiceProcess], Response]) -> None:
    with pytest.raises(OSError):
        ask(service)


def a_day_passes(sandbox: SandboxProcess, url: str) -> None:
    """Advance Stripe's clock, and age the service's record."""
    sandbox.advance(DAY_AND_AN_HOUR)
    age(url, "A-1", DAY_AND_AN_HOUR)
    assert record_of(url, "A-1")


def wait_until(there: Callable[[], bool], seconds: float = 10) -> None:
    patience = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < patience
        time.sleep(0.02)
