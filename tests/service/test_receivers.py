"""Each client's order events go to its own receiver, signed with its own secrets."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe
from msgspec.structs import replace

from payment_service.access.clients import Clients, load_clients
from payment_service.background.loop import PARALLEL
from payment_service.background.receivers import (
    SLOW_SECONDS,
    Posts,
    Receiver,
    Receivers,
    receivers_of,
)
from payment_service.background.start import open_delivery
from payment_service.key_store.contract import Order
from payment_service.payments.record.follow_up import OrderEvent
from payment_service.payments.shop_events.outbox import NotAnswered, unparked
from payment_service.settings import Settings, load_settings
from payment_service.wiring import Parts, configure, open_parts
from tests.support.flow_bench import order_record
from tests.support.key_stores import NOW
from tests.support.sandbox_process import WEBHOOK_SECRET, SandboxProcess
from tests.support.service_process import ServiceProcess
from tests.support.shop import API_KEYS, bearer, clients_file, entry
from tests.support.shop_listener import ShopListener, until

DEFAULT_SECRET, SECRET_A = "whsec_ofTheOperator", "whsec_ofShopA"


def own(url: str, secret: str = SECRET_A) -> tuple[str, str]:
    return f'order_events_url = "{url}"', f'order_events_secret = "{secret}"'


def order(client_id: str | None, order_id: str = "A-1") -> Order:
    return Order(False, client_id, order_id)


@pytest.fixture
def shop() -> Iterator[ShopListener]:
    with ShopListener() as listening:
        yield listening


@pytest.fixture
def operator() -> Iterator[ShopListener]:
    with ShopListener() as listening:
        yield listening


def settings(directory: Path, *entries: str, default: str | None = None) -> Settings:
    environ = {
        "STRIPE_SECRET_KEY": "sk_test_shop",
        "CLIENTS_FILE": str(clients_file(directory, *entries)),
        "KEY_STORE_URL": f"sqlite:///{directory}/keys.db",
    }
    if default is not None:
        environ |= {"ORDER_EVENTS_URL": default, "ORDER_EVENTS_SECRET": DEFAULT_SECRET}
    return load_settings(environ)


def clients(given: Settings) -> Clients:
    assert given.clients_file
    return load_clients(given.clients_file, livemode=False)


def open_service(given: Settings) -> Parts:
    return open_parts(configure(given))


def test_client_without_a_receiver_falls_back_to_the_service_s(tmp_path: Path) -> None:
    entries = entry("shop-a", *own("http://a.example/")), entry("shop-b")
    given = settings(tmp_path, *entries, default="http://operator.example/")
    found = receivers_of(given, clients(given))
    operator = Receiver("http://operator.example/", (DEFAULT_SECRET,))
    assert found.of(order("shop-a")) == Receiver("http://a.example/", (SECRET_A,))
    assert [found.of(order(each)) for each in ("shop-b", "removed", None)] == [operator] * 3


def test_without_a_default_only_clients_with_a_receiver_are_told(tmp_path: Path) -> None:
    """The records of the others keep no events, which nothing would ever deliver."""
    parts = open_service(
        settings(tmp_path, entry("shop-a", *own("http://a.example/")), entry("shop-b"))
    )
    listened = parts.payments.orders.context.listened
    assert [listened(order(each)) for each in ("shop-a", "shop-b", None)] == [True, False, False]
    parts.payments.close()


def test_no_receiver_means_no_delivery_loop(tmp_path: Path) -> None:
    parts = open_service(settings(tmp_path))
    assert open_delivery(parts.settings, parts.payments, parts.receivers) is None
    parts.payments.close()


def queued(order_id: str, number: int = 0, **changes: object) -> OrderEvent:
    facts = {"order_id": order_id}
    event = OrderEvent(f"evt_{order_id}", "order.paid", NOW, facts, next_at=number, until=9e9)
    return replace(event, **changes)


def test_each_receiver_gets_only_its_clients_events_with_its_own_signature(
    tmp_path: Path, shop: ShopListener, operator: ShopListener
) -> None:
    """During a rotation an event has a signature for the new secret and one for the old."""
    entries = entry("shop-a", *own(shop.url, "whsec_new, whsec_old")), entry("shop-b")
    parts = open_service(settings(tmp_path, *entries, default=operator.url))
    records = parts.payments.orders.context.records
    for client_id in ("shop-a", "shop-b", None):
        records.claim(order_record(order(client_id), queue=(queued(f"of {client_id}"),)))
    loop = open_delivery(parts.settings, parts.payments, parts.receivers)
    assert loop
    assert loop.run_once() == 3
    [(body, signed)] = shop.taken
    assert json.loads(body)["id"] == "evt_of shop-a"
    for secret in ("whsec_new", "whsec_old"):
        stripe.Webhook.construct_event(body, signed, secret)
    for secret in (DEFAULT_SECRET, SECRET_A):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, signed, secret)
    assert set(operator.told()) == {"evt_of shop-b", "evt_of None"}
    for body, signed in operator.taken:
        stripe.Webhook.construct_event(body, signed, DEFAULT_SECRET)
    parts.payments.close()


def test_given_up_events_go_to_their_own_receiver_when_retried(
    tmp_path: Path, shop: ShopListener, operator: ShopListener
) -> None:
    parts = open_service(settings(tmp_path, entry("shop-a", *own(shop.url)), default=operator.url))
    records = parts.payments.orders.context.records
    records.claim(order_record(order("shop-a"), queue=(queued("A-1", parked=True),)))
    loop = open_delivery(parts.settings, parts.payments, parts.receivers)
    assert loop
    assert loop.run_once() == 0
    assert unparked(records, time.time(), livemode=False) == 1
    assert loop.run_once() == 1
    assert (list(shop.told()), operator.taken) == (["evt_A-1"], [])
    parts.payments.close()


def test_resting_receiver_gets_no_post_and_its_events_leave_the_front(
    tmp_path: Path, shop: ShopListener
) -> None:
    """A backlog that a receiver does not accept in time is put off, not tried one by one."""
    with ShopListener([500] * 300, delay_seconds=SLOW_SECONDS + 0.1) as slow:
        entries = entry("shop-a", *own(slow.url)), entry("shop-b", *own(shop.url, "whsec_ofShopB"))
        parts = open_service(settings(tmp_path, *entries))
        records = parts.payments.orders.context.records
        for number in range(300):
            each = f"A-{number}"
            records.claim(order_record(order("shop-a", each), queue=(queued(each),)))
        last = queued("B-1", number=1)
        records.claim(order_record(order("shop-b", "B-1"), queue=(last,)))
        loop = open_delivery(parts.settings, parts.payments, parts.receivers)
        assert loop
        began = time.time()
        assert loop.run_once() == 1
        assert slow.refused == PARALLEL
    assert list(shop.told()) == ["evt_B-1"]
    waiting = [each.follow_up.queue for each in records.scan() if each.due_at is not None]
    assert [(event.tries, event.next_at > began) for (event,) in waiting] == [(1, True)] * 300
    parts.payments.close()


def test_only_slow_refusals_make_a_receiver_rest(shop: ShopListener) -> None:
    """A refusal that comes at once occupies no thread: the back-off of the event is enough."""
    shop.statuses = [500, 500, 200, 500]
    posts = Posts(Receivers(Receiver(shop.url, ("whsec_x",))))
    assert [posts(order(None), b"{}") for _ in range(3)] == [500, 500, 200]
    shop.delay_seconds = SLOW_SECONDS + 0.1
    assert posts(order(None), b"{}") == 500
    with pytest.raises(NotAnswered, match="rests"):
        posts(order(None), b"{}")


def test_hanging_receiver_of_one_client_does_not_delay_another(
    sandbox: SandboxProcess, tmp_path: Path, operator: ShopListener
) -> None:
    """The service's own processes: shop-a's server accepts no event while shop-b's orders go on.

    A reload gives shop-b another secret without losing an event.
    """
    with ShopListener(delay_seconds=60) as hanging, ShopListener() as shop:
        first = entry("shop-a", *own(hanging.url))
        file = clients_file(tmp_path, first, entry("shop-b", *own(shop.url, "whsec_old")))
        environ = {"CLIENTS_FILE": str(file), "WEB_CONCURRENCY": "1"}
        with ServiceProcess(sandbox.url, environ) as service:
            sandbox.webhooks(url=f"{service.url}/webhook", secret=WEBHOOK_SECRET)

            def pay(client_id: str, order_id: str) -> None:
                proof = bearer(API_KEYS[client_id])["Authorization"]
                body = {"order_id": order_id, "amount": 1099}
                made = service.post("/create-payment-intent", body, Authorization=proof).json()
                sandbox.pay(made["payment_intent_id"])

            for number in range(20):
                pay("shop-a", f"A-{number}")
            for number in range(5):
                pay("shop-b", f"B-{number}")
                until(lambda: f"B-{number}" in shop.orders("order.paid"), seconds=10)  # noqa: B023
            clients_file(tmp_path, first, entry("shop-b", *own(shop.url, "whsec_new,whsec_old")))
            before = set(service.workers())
            os.kill(service.pid, signal.SIGHUP)
            until(lambda: not before & set(service.workers()), seconds=60)
            pay("shop-b", "B-rolled")
            until(lambda: "B-rolled" in shop.orders("order.paid"), seconds=10)
        body, signed = shop.taken[-1]
        for secret in ("whsec_new", "whsec_old"):
            stripe.Webhook.construct_event(body, signed, secret)
    assert operator.taken == []
