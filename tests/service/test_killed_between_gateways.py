"""kill -9 while orders go from one gateway to the other, or are captured there: one capture each.

One kill hits four orders, each at another moment. PayPal's stand-in holds the answers, so that the
service is killed between two of its writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from requests.exceptions import RequestException

from tests.support.paypal_process import PayPalProcess
from tests.support.sandbox_process import SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop_listener import until
from tests.support.two_gateways import BOTH, PAYMENT_INTENTS, press, settings_of

ORDERS = "/v2/checkout/orders"

# The service is killed in the middle of these; True: once PayPal has executed the call.
CREATIONS = {"between-switch-and-create": False, "between-create-and-record": True}
CAPTURES = {"between-claim-and-capture": False, "between-capture-and-record": True}
MOMENTS = [*CREATIONS, *CAPTURES]

# From the service's restart to the answer of each order, on a busy machine. A lease is 4 s, and the
# sender of a capture has 8 s.
MOST_RECOVERY_SECONDS = 15.0


@pytest.fixture(scope="module")
def paypal_process() -> Iterator[PayPalProcess]:
    with PayPalProcess() as running:
        yield running


@pytest.fixture
def paypal(paypal_process: PayPalProcess) -> PayPalProcess:
    paypal_process.reset()
    return paypal_process


def test_killed_service_captures_each_order_once_and_the_next_request_finishes_it(
    sandbox: SandboxProcess, paypal: PayPalProcess, url: str
) -> None:
    # Redis makes a capture wait for Stripe, which is away.
    more = {"KEY_STORE_URL": url, "WEB_CONCURRENCY": "1", "FAILOVER_AFTER_SECONDS": "2"}
    settings = settings_of(paypal, FAILOVER_CAPTURE="at_once", **more)
    with ServiceProcess(sandbox.url, settings) as service, ThreadPoolExecutor(4) as pool:
        match = {"path": PAYMENT_INTENTS}
        sandbox.faults([{"kind": "lost_before", "match": match, "count": None}])
        list(pool.map(lambda order_id: approve(service, order_id), CAPTURES))
        paypal.faults(held_answers(paypal))
        for order_id in MOMENTS:
            pool.submit(ask_until_killed, service, order_id)
        until(lambda: paypal.fired().get("hang", 0) == len(MOMENTS), seconds=30)
        service.kill()
        service.start()
        restarted_at = time.monotonic()

        def finish(order_id: str) -> float:
            answer = again(service, order_id)
            seconds = time.monotonic() - restarted_at
            if order_id in CREATIONS:
                press(answer["redirect_url"])
                answer = again(service, order_id)
            assert (answer["gateway"], answer["status"]) == ("paypal", "succeeded")
            return seconds

        took = dict(zip(MOMENTS, pool.map(finish, MOMENTS), strict=True))
        print({order_id: f"{seconds:.1f} s" for order_id, seconds in took.items()})
        assert [captures(paypal, order_id) for order_id in MOMENTS] == [["COMPLETED"]] * 4
        assert max(took.values()) < MOST_RECOVERY_SECONDS
        # The creations that Stripe did not answer were never executed.
        assert sandbox.state().payable == 0


def approve(service: ServiceProcess, order_id: str) -> None:
    """Bring an order to PayPal, and approve it there."""
    press(again(service, order_id)["redirect_url"])


def held_answers(paypal: PayPalProcess) -> list[dict[str, Any]]:
    """Return the faults that hold the answer to the next call of each order."""
    places = {
        **{order_id: {"path": f"{ORDERS}$", "order_id": order_id} for order_id in CREATIONS},
        **{
            order_id: {"path": f"{ORDERS}/{paypal.orders(order_id)[0]['id']}/capture"}
            for order_id in CAPTURES
        },
    }
    return [
        {"kind": "hang", "executes": executes, "match": {"method": "POST", **places[order_id]}}
        for order_id, executes in {**CREATIONS, **CAPTURES}.items()
    ]


def ask_until_killed(service: ServiceProcess, order_id: str) -> None:
    with suppress(RequestException):
        while True:
            service.create(order_id, **BOTH)


def again(service: ServiceProcess, order_id: str, seconds: float = 40) -> dict[str, Any]:
    """Send the same request until it is answered."""
    ends_at = time.monotonic() + seconds
    while (answer := service.create(order_id, **BOTH)).status_code != 200:
        assert answer.json()["action"] == "retry_same", answer.text
        assert time.monotonic() < ends_at, answer.text
        time.sleep(0.2)
    found: dict[str, Any] = answer.json()
    return found


def captures(paypal: PayPalProcess, order_id: str) -> list[str]:
    return [status for order in paypal.orders(order_id) for status in order["captures"]]
