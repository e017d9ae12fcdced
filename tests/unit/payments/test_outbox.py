"""Any number of deliverers send order events to the shop at least once and in sequence."""

from __future__ import annotations

import json

import pytest
import stripe
from msgspec.structs import replace

from payment_service.access.webhook_secrets import WebhookSecrets
from payment_service.background.receivers import receivers_of
from payment_service.background.shop_webhook import signature
from payment_service.background.start import open_delivery
from payment_service.gateways.stripe.webhook import read_event
from payment_service.key_store.contract import Order
from payment_service.payments.record.follow_up import OrderEvent
from payment_service.payments.shop_events.outbox import NotAnswered, unparked
from payment_service.schema.secret import Secret
from payment_service.settings import load_settings
from payment_service.wiring import open_payments
from sandbox.events import signature as sandbox_signature
from tests.support.after_bench import AfterBench
from tests.support.flow_bench import order_record
from tests.support.key_stores import NOW

HOUR = 3600.0


def paid(bench: AfterBench) -> None:
    bench.pay(bench.ask().intent.id)
    bench.apply_all()


@pytest.fixture
def bench() -> AfterBench:
    bench = AfterBench()
    paid(bench)
    return bench


def test_listener_that_fails_forty_times_gets_the_event(bench: AfterBench) -> None:
    bench.shop.down = True
    while bench.shop.tries < 40:
        due = bench.record().due_at
        assert due is not None
        bench.now = max(bench.now, due)
        bench.deliver()
    bench.shop.down = False
    assert bench.deliver() == 0
    bench.now = bench.record().due_at
    assert bench.deliver() == 1
    assert bench.shop.types() == ["order.paid"]
    assert bench.record().due_at is None


def test_wait_doubles_up_to_an_hour(bench: AfterBench) -> None:
    bench.shop.down = True
    waits = []
    for _ in range(15):
        bench.deliver()
        waits.append(bench.record().due_at - bench.now)
        bench.now = bench.record().due_at
    assert waits[:4] == [1.25, 2.5, 5.0, 10.0]
    assert waits[-1] == 1.25 * HOUR


def test_event_is_parked_after_three_days_and_can_be_retried(
    bench: AfterBench,
) -> None:
    bench.shop.down = True
    started = bench.now
    while (due := bench.record().due_at) is not None:
        bench.now = max(bench.now, due)
        bench.deliver()
    assert 72 * HOUR <= bench.now - started < 75 * HOUR
    assert bench.whats().count("event_parked") == 1
    # Facts become fields of the log line, and must not overwrite its own fields.
    lines = {"time", "level", "logger", "event", "correlation_id"}
    assert not any(lines & set(each.facts) for each in bench.seen)
    assert [each.parked for each in bench.record().follow_up.queue] == [True]
    bench.shop.down = False
    assert unparked(bench.records, bench.now, livemode=True) == 0
    assert unparked(bench.records, bench.now, livemode=False) == 1
    assert bench.deliver() == 1
    assert bench.shop.types() == ["order.paid"]


@pytest.mark.parametrize("step", range(len(AfterBench.steps_of(AfterBench.deliver, paid))))
def test_two_deliverers_do_not_post_the_same_event(bench: AfterBench, step: int) -> None:
    with bench.meanwhile(step, bench.deliver):
        bench.deliver()
    assert len(bench.shop.bodies) == 1


def test_events_of_an_order_are_delivered_in_sequence(bench: AfterBench) -> None:
    first = bench.ask("A-2").intent.id
    bench.fail(first)
    bench.apply_all("A-2")
    bench.cancel("A-2")
    bench.pay(bench.ask("A-2").intent.id)
    bench.apply_all("A-2")
    bench.shop.down = True
    bench.deliver()
    bench.shop.down = False
    for _ in range(4):
        bench.now += 2
        bench.deliver()
    types = [
        body["type"] for body in bench.shop.bodies if body["data"]["object"]["order_id"] == "A-2"
    ]
    assert types == ["order.failed", "order.canceled", "order.paid"]


def test_redelivery_has_the_same_bytes(bench: AfterBench) -> None:
    [record] = bench.due()
    bodies: list[bytes] = []

    def refuse(_: Order, body: bytes) -> int:
        bodies.append(body)
        return 500

    bench.outbox = replace(bench.outbox, post=refuse)
    for _ in range(3):
        bench.now = bench.record().due_at
        bench.deliver()
    assert (len(bodies), len(set(bodies))) == (3, 1)
    assert json.loads(bodies[0])["id"] == record.follow_up.queue[0].id


def test_log_says_why_an_event_was_not_answered(bench: AfterBench) -> None:
    def fall_silent(_: Order, __: bytes) -> int:
        raise NotAnswered("Empty reply from server", "wait")

    bench.outbox = replace(bench.outbox, post=fall_silent)
    bench.deliver()
    bench.outbox = replace(bench.outbox, post=lambda _, __: 204)
    bench.now = bench.record().due_at
    bench.deliver()
    failed, delivered = bench.seen[-2:]
    assert (failed.what, delivered.what) == ("event_failed", "event_delivered")
    silence = {"status": None, "phase": "wait", "cause": "Empty reply from server"}
    assert failed.facts.items() >= silence.items()
    assert delivered.facts["status"] == 204


def test_lost_store_creates_no_second_event(bench: AfterBench) -> None:
    """The id of an event is a pure function of its content."""
    bench.deliver()
    bench.records.forget(bench.record())
    bench.apply_all()
    bench.deliver()
    assert len(bench.shop.bodies) == 2
    assert len(bench.shop.told()) == 1


def test_shop_gets_only_the_events_of_its_mode() -> None:
    """A test service and a live service on one store each have a listener."""
    secret = "whsec_" + "0" * 40
    shop = {"ORDER_EVENTS_URL": "http://127.0.0.1:1/", "ORDER_EVENTS_SECRET": secret}
    settings = load_settings({"STRIPE_SECRET_KEY": "sk_test_shop", **shop})
    payments = open_payments(settings, clock=lambda: NOW)
    records = payments.orders.context.records
    for number in range(300):
        event = OrderEvent("evt", "order.paid", NOW, {}, next_at=NOW - 300 + number, until=9e9)
        mode = Order(livemode=number < 299, client_id=None, order_id=f"A-{number}")
        records.claim(order_record(mode, queue=(event,)))
    loop = open_delivery(settings, payments, receivers_of(settings, None))
    assert loop
    assert [each.order.order_id for each in loop._job.due(10)] == ["A-299"]


def test_without_a_listener_no_event_is_queued() -> None:
    bench = AfterBench()
    bench.orders.context = bench.context = bench.another()
    bench.pay(bench.ask().intent.id)
    bench.apply_all()
    assert bench.record().payment_status == "succeeded"
    assert bench.record().due_at is None
    assert bench.record().follow_up.queue == ()


BODY = '{"id": "evt_order_1", "object": "event", "data": {"object": {"name": "Zoë"}}}'.encode()


def test_stripes_own_code_verifies_our_signature() -> None:
    signed = signature(BODY, ["whsec_old", "whsec_new"], 2_000_000_000)
    for secret in ("whsec_old", "whsec_new"):
        event = stripe.Webhook.construct_event(BODY, signed, secret)
        assert event["data"]["object"]["name"] == "Zoë"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(BODY, signed, "whsec_other")


def test_our_signature_equals_stripes() -> None:
    theirs = stripe.WebhookSignature.generate_signature_header(BODY.decode(), "whsec_a", 17)
    assert signature(BODY, ["whsec_a"], 17) == theirs == sandbox_signature(BODY, "whsec_a", 17)


def test_we_verify_stripes_signatures() -> None:
    secrets = Secret("whsec_old, whsec_new")
    theirs = stripe.WebhookSignature.generate_signature_header(BODY.decode(), "whsec_new", 1_000)
    known = WebhookSecrets(secrets, None)
    assert read_event(BODY, theirs, known, lambda: 1_200.0).event is None
