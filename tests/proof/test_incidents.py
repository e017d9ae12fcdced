"""Each public incident that the rules answer, once more, with the end that it should have had."""

from __future__ import annotations

from dataclasses import replace

import pytest

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


def test_odoo_107723_an_order_that_was_declined_once_is_not_stuck_under_its_key(
    bench: FlowBench,
) -> None:
    _refuse_first_attempt(bench)
    answer = bench.ask()
    assert bench.payable() == [answer.intent.id]


def test_odoo_101243_nothing_is_charged_for_a_claim_that_did_not_commit() -> None:
    bench = FlowBench(NoClaims())
    with pytest.raises(StoreDown):
        bench.ask()
    assert (bench.sends(), bench.made()) == (0, [])


def test_odoo_103482_and_active_merchant_3554_no_key_is_used_on_two_endpoints(
    bench: FlowBench,
) -> None:
    intent = bench.ask().intent
    _cancel(bench, intent.id)
    bench.ask()
    used = {(each["idempotency_key"], each["path"]) for each in bench.sandbox.log.shown()}
    keys = [key for key, _ in used if key]
    assert len(keys) == len(set(keys))


def test_akash_console_3449_clients_that_try_again_make_no_further_payment_intent(
    bench: FlowBench,
) -> None:
    bench.break_creation("lost_after", count=9)
    answers = [_ask(bench) for _ in range(6)]
    given = {each.intent.id for each in answers if isinstance(each, Created)}
    assert bench.payable() == sorted(given)
    assert len(bench.made()) == 1


def test_pympp_155_nothing_that_passes_is_in_the_key() -> None:
    """Whoever asks, whenever, with whichever token: the key is that of the order and attempt."""
    assert idempotency_key("shop", "A-1") == idempotency_key("shop", "A-1")
    first, second = FlowBench(), FlowBench()
    second.now += 3600
    first.ask()
    second.ask()
    assert _keys(first) == _keys(second) == {idempotency_key(None, "A-1")}


def test_vendure_2364_and_3903_other_amount_or_metadata_neither_charges_again_nor_gets_stuck(
    bench: FlowBench,
) -> None:
    bench.break_creation("lost_after", count=3)
    assert isinstance(_ask(bench), PaymentError)
    with pytest.raises(OrderReused):
        bench.ask(amount=2000)
    with pytest.raises(OrderReused):
        bench.ask(metadata={"order_id": "A-1", "note": "new"})
    assert bench.payable() == [bench.ask().intent.id]


def test_revel_backend_803_what_is_sent_again_is_what_was_sent(bench: FlowBench) -> None:
    bench.break_creation("lost_after", count=3)
    assert isinstance(_ask(bench), PaymentError)
    bench.now += 5 * 3600
    bench.ask()
    creations = [each for each in bench.sandbox.log.shown() if each["method"] == "POST"]
    assert all(each["params"] == creations[0]["params"] for each in creations)
    assert {each["status"] for each in creations} <= {200, None}


def test_canvas_243_and_fossbilling_3975_an_edited_order_is_not_locked_out(
    bench: FlowBench,
) -> None:
    first = bench.ask()
    _cancel(bench, first.intent.id)
    assert bench.ask().intent.id != first.intent.id
    with pytest.raises(Refused):
        bench.ask("A-2", amount=10)
    assert bench.ask("A-2", amount=2000).intent.amount == 2000


@pytest.mark.parametrize("asks", [1, 3])
def test_woocommerce_stripe_2339_2477_3912_a_500_after_the_charge_is_not_charged_again(
    bench: FlowBench, asks: int
) -> None:
    bench.break_creation("error_500_with_object")
    answers = {bench.ask().intent.id for _ in range(asks)}
    assert (sorted(answers), len(bench.made())) == (bench.payable(), 1)


def test_stripe_ruby_598_no_key_is_carried_into_the_next_call(bench: FlowBench) -> None:
    bench.break_creation("error_500_with_object")
    bench.ask()
    bench.ask()
    gets = [each for each in bench.sandbox.log.shown() if each["method"] == "GET"]
    assert gets
    assert all(each["idempotency_key"] is None for each in gets)


@pytest.mark.parametrize("hours", [23.5, 24.5, 24 * 40])
def test_triggerdotdev_4953_and_carbon_252_an_old_key_makes_no_second_charge(
    bench: FlowBench, hours: float
) -> None:
    bench.break_creation("lost_after", count=3)
    assert isinstance(_ask(bench), PaymentError)
    bench.now += hours * 3600
    assert [bench.ask().intent.id] == bench.payable()
    assert len(bench.made()) == 1


def test_powertools_python_8386_a_record_whose_lock_holds_is_not_reclaimed(
    bench: FlowBench,
) -> None:
    claim = transitions.first_claim(bench.wanted(), replace(bench.tools.lease(), seconds=60.0))
    bench.store.claim(claim)
    with pytest.raises(InFlight):
        bench.ask()
    assert bench.sends() == 0
    assert bench.record() == claim


def test_powertools_typescript_5714_a_late_recovery_does_not_overwrite_a_finished_record(
    bench: FlowBench,
) -> None:
    stale = transitions.first_claim(bench.wanted(), replace(bench.tools.lease(), seconds=1.0))
    bench.store.claim(stale)
    bench.now += 2
    finished = bench.ask()
    assert not bench.store.replace(stale, transitions.released(stale, "stripe_error", bench.now))
    assert bench.record().payment_intent_id == finished.intent.id


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "hang"])
def test_hyperswitch_2380_a_time_out_is_not_a_failure(bench: FlowBench, kind: str) -> None:
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
    """Stripe's execution says no to attempt 1, once, and keeps saying so under its key."""
    body = b"amount=1099&currency=usd&metadata[order_id]=A-1"
    key = {"idempotency-key": idempotency_key(None, "A-1")}
    started = bench.sandbox.begin("POST", INTENTS, {**HEADERS, **key}, body)
    assert isinstance(started, Execution)
    params = {**started.admitted.params, "customer": "cus_missing"}
    bench.sandbox.finish(replace(started, admitted=replace(started.admitted, params=params)))


def _cancel(bench: FlowBench, intent_id: str) -> None:
    answer = bench.sandbox.handle("POST", f"{INTENTS}/{intent_id}/cancel", HEADERS, b"")
    assert answer.json()["status"] == "canceled"
