"""Each public incident that the rules prevent, replayed with the correct outcome."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from payment_service.errors import InFlight, OrderReused, PaymentError, Refused, StoreDown
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.creation.states import Created
from payment_service.payments.idempotency_key import idempotency_key
from payment_service.payments.record import transitions
from sandbox.execution import Execution
from tests.support.flow_bench import FlowBench
from tests.support.sandbox_in_process import INTENTS

HEADERS = {"authorization": "Bearer sk_test_shop"}


@pytest.fixture
def bench() -> FlowBench:
    return FlowBench()


def test_odoo_107723_declined_order_is_not_stuck(
    bench: FlowBench,
) -> None:
    _refuse_first_attempt(bench)
    answer = bench.ask()
    assert bench.payable() == [answer.intent.id]


def test_odoo_101243_uncommitted_claim_charges_nothing() -> None:
    bench = FlowBench(NoClaims())
    with pytest.raises(StoreDown):
        bench.ask()
    assert (bench.sends(), bench.made()) == (0, [])


def test_odoo_103482_active_merchant_3554_key_has_one_endpoint(
    bench: FlowBench,
) -> None:
    intent = bench.ask().intent
    _cancel(bench, intent.id)
    bench.ask()
    used = {(each["idempotency_key"], each["path"]) for each in bench.sandbox.log.shown()}
    keys = [key for key, _ in used if key]
    assert len(keys) == len(set(keys))


def test_akash_console_3449_retries_make_no_second_intent(
    bench: FlowBench,
) -> None:
    bench.break_creation("lost_after", count=9)
    answers = [_ask(bench) for _ in range(6)]
    given = {each.intent.id for each in answers if isinstance(each, Created)}
    assert bench.payable() == sorted(given)
    assert len(bench.made()) == 1


def test_pympp_155_key_contains_nothing_transient() -> None:
    """The key depends on the order and the attempt alone, not on the caller, time or token."""
    assert idempotency_key("shop", "A-1") == idempotency_key("shop", "A-1")
    first, second = FlowBench(), FlowBench()
    second.now += 3600
    first.ask()
    second.ask()
    assert _keys(first) == _keys(second) == {idempotency_key(None, "A-1")}


def test_vendure_2364_3903_changed_order_is_not_charged_again(
    bench: FlowBench,
) -> None:
    bench.break_creation("lost_after", count=3)
    assert isinstance(_ask(bench), PaymentError)
    with pytest.raises(OrderReused):
        bench.ask(amount=2000)
    with pytest.raises(OrderReused):
        bench.ask(metadata={"order_id": "A-1", "note": "new"})
    assert bench.payable() == [bench.ask().intent.id]


def test_revel_backend_803_resend_is_identical(bench: FlowBench) -> None:
    bench.break_creation("lost_after", count=3)
    assert isinstance(_ask(bench), PaymentError)
    bench.now += 5 * 3600
    bench.ask()
    creations = [each for each in bench.sandbox.log.shown() if each["method"] == "POST"]
    assert len(creations) > 1
    assert all(each["params"] == creations[0]["params"] for each in creations)
    assert {each["status"] for each in creations} <= {200, None}


def test_canvas_243_fossbilling_3975_edited_order_is_not_stuck(
    bench: FlowBench,
) -> None:
    first = bench.ask()
    _cancel(bench, first.intent.id)
    assert bench.ask().intent.id != first.intent.id
    with pytest.raises(Refused):
        bench.ask("A-2", amount=10)
    assert bench.ask("A-2", amount=2000).intent.amount == 2000


@pytest.mark.parametrize("asks", [1, 3])
def test_woocommerce_stripe_2339_2477_3912_late_500_charges_once(
    bench: FlowBench, asks: int
) -> None:
    bench.break_creation("error_500_with_object")
    answers = {bench.ask().intent.id for _ in range(asks)}
    assert (sorted(answers), len(bench.made())) == (bench.payable(), 1)


def test_stripe_ruby_598_next_call_has_another_key(bench: FlowBench) -> None:
    bench.break_creation("error_500_with_object")
    bench.ask()
    bench.ask()
    gets = [each for each in bench.sandbox.log.shown() if each["method"] == "GET"]
    assert gets
    assert all(each["idempotency_key"] is None for each in gets)


@pytest.mark.parametrize("hours", [23.5, 24.5, 24 * 40])
def test_triggerdotdev_4953_carbon_252_old_key_charges_once(bench: FlowBench, hours: float) -> None:
    bench.break_creation("lost_after", count=3)
    assert isinstance(_ask(bench), PaymentError)
    bench.now += hours * 3600
    assert [bench.ask().intent.id] == bench.payable()
    assert len(bench.made()) == 1


def test_powertools_python_8386_locked_record_is_not_reclaimed(
    bench: FlowBench,
) -> None:
    claim = transitions.first_claim(bench.wanted(), bench.context.lease())
    bench.records.claim(claim)

    def renew(_: float) -> None:
        held = bench.record()
        assert bench.records.replace(held, transitions.renewed(held, bench.now))

    bench.on_sleep = renew
    with pytest.raises(InFlight):
        bench.ask()
    assert bench.sends() == 0
    assert bench.record().owner == claim.owner


def test_powertools_typescript_5714_finished_record_is_kept(
    bench: FlowBench,
) -> None:
    stale = transitions.first_claim(bench.wanted(), replace(bench.context.lease(), seconds=1.0))
    bench.records.claim(stale)
    bench.now += 2
    finished = bench.ask()
    assert not bench.records.replace(stale, transitions.released(stale, "stripe_error", bench.now))
    assert bench.record().payment_intent_id == finished.intent.id


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "hang"])
def test_hyperswitch_2380_time_out_is_not_a_failure(bench: FlowBench, kind: str) -> None:
    bench.break_creation(kind, count=3)
    assert isinstance(_ask(bench), PaymentError)
    assert bench.record().state == "pending"
    assert bench.payable() in ([], [bench.ask().intent.id])
    assert len(bench.made()) == 1


class NoClaims(MemoryStore):
    """A store whose claims do not commit."""

    def claim(self, record: KeyRecord) -> KeyRecord:
        raise StoreUnavailable("rolled back")


def _ask(bench: FlowBench) -> Created | PaymentError:
    try:
        return bench.ask()
    except PaymentError as error:
        return error


def _keys(bench: FlowBench) -> set[str]:
    return {each["idempotency_key"] for each in bench.sandbox.log.shown()}


def _refuse_first_attempt(bench: FlowBench) -> None:
    """Stripe rejects attempt 1 during execution, and replays the rejection under its key."""
    body = b"amount=1099&currency=usd&metadata[order_id]=A-1"
    key = {"idempotency-key": idempotency_key(None, "A-1")}
    started = bench.sandbox.begin("POST", INTENTS, {**HEADERS, **key}, body)
    assert isinstance(started, Execution)
    params = {**started.admitted.params, "customer": "cus_missing"}
    bench.sandbox.finish(
        dataclasses.replace(started, admitted=dataclasses.replace(started.admitted, params=params))
    )


def _cancel(bench: FlowBench, intent_id: str) -> None:
    answer = bench.sandbox.handle("POST", f"{INTENTS}/{intent_id}/cancel", HEADERS, b"")
    assert answer.json()["status"] == "canceled"
