"""Changes of an order at a gated gateway: cancel, update, status, refund, free."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import (
    AlreadyPaid,
    BadRequest,
    Changed,
    Misconfigured,
    NoLongerOpen,
    NotAuthorized,
    PaymentError,
)
from payment_service.payments.changes.free import check_missing, free_order
from payment_service.payments.changes.status import status_of
from payment_service.payments.gated.complete import complete
from payment_service.payments.record import gated_transitions
from payment_service.payments.request.existing_order import CancelRequest, OrderRequest
from tests.support.gated_bench import HOUR, GatedBench
from tests.support.switch_bench import PAYPAL_ONLY, STRIPE_ONLY


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


def claimed(bench: GatedBench) -> str:
    """Leave an order whose capture was lost on its way."""
    payment_id = bench.approved()
    bench.break_captures("lost_before", count=None)
    bench.tried()
    bench.paypal.faults.clear()
    return payment_id


# Cancel.


@pytest.mark.parametrize("approved", [False, True])
@pytest.mark.parametrize("silent", [False, True])
def test_payment_without_a_claim_is_canceled(
    bench: GatedBench, approved: bool, silent: bool
) -> None:
    payment_id = bench.given_out()
    if approved:
        bench.approve_as(payment_id)
    if silent:
        bench.break_reads("lost_before")
    assert [bench.cancel().status for _ in range(2)] == ["canceled", "canceled"]
    assert bench.deliver_all() == ["order.canceled"]
    bench.paypal.faults.clear()
    bench.now += 61
    bench.look_for_approvals()
    assert bench.complete().status == "canceled"
    assert (bench.money_taken(), bench.captures_sent()) == ([], 0)
    assert bench.ask().intent.id != payment_id


def test_paid_order_is_not_canceled(bench: GatedBench) -> None:
    bench.approved()
    bench.complete()
    with pytest.raises(NoLongerOpen) as raised:
        bench.cancel()
    assert raised.value.code == "payment_succeeded"


def test_claimed_payment_is_not_canceled(bench: GatedBench) -> None:
    payment_id = claimed(bench)
    with pytest.raises(NoLongerOpen) as raised:
        bench.cancel()
    assert raised.value.code == "payment_processing"
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]


def test_cancellation_captures_nothing(bench: GatedBench) -> None:
    claimed(bench)
    bench.now += 60
    sent = bench.captures_sent()
    with pytest.raises(NoLongerOpen):
        bench.cancel()
    assert bench.captures_sent() == sent


def test_cancellation_sees_a_capture_that_the_store_has_lost(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.capture_named(payment_id)
    with pytest.raises(NoLongerOpen) as raised:
        bench.cancel()
    assert raised.value.code == "payment_succeeded"
    assert bench.status() == "succeeded"


def test_order_paid_before_is_not_canceled(bench: GatedBench) -> None:
    bench.paid_before()
    with pytest.raises(AlreadyPaid):
        bench.cancel()


STEPS = GatedBench.steps_of(GatedBench.complete, GatedBench.approved)


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_cancellation_and_capture_at_once_never_both_succeed(bench: GatedBench, step: int) -> None:
    payment_id = bench.approved()
    outcomes: list[str] = []

    def cancel() -> None:
        try:
            outcomes.append(bench.cancel().status)
        except PaymentError as error:
            outcomes.append(error.code)

    with bench.meanwhile(step, cancel):
        bench.tried()
    [outcome] = outcomes
    bench.now += 60
    bench.tried()
    if outcome == "canceled":
        assert (bench.status(), bench.money_taken()) == ("canceled", [])
        [paid] = [bench.ask().intent.id]
        bench.act(paid, "confirm")
        assert bench.money_taken() == [paid]
    else:
        assert outcome in ("payment_processing", "payment_succeeded", "in_flight")
        assert (bench.status(), bench.money_taken()) == ("succeeded", [payment_id])


# Update.


def test_update_begins_another_payment_with_the_new_price(bench: GatedBench) -> None:
    payment_id = bench.given_out()
    updated = bench.update(2000, description="Two of them")
    assert updated.intent.id != payment_id
    assert (updated.intent.amount, updated.revision, updated.replayed) == (2000, 1, False)
    record = bench.record()
    assert (record.attempt, record.payment_intent_id) == (2, updated.intent.id)
    assert record.sent.params["description"] == "Two of them"
    assert record.follow_up.approval_look is not None
    assert bench.deliver_all() == []
    bench.approve_as(updated.intent.id)
    assert bench.complete().amount_received == 2000
    assert bench.money_taken() == [updated.intent.id]


def test_old_page_moves_no_money_after_an_update(bench: GatedBench) -> None:
    payment_id = bench.given_out()
    bench.update(2000)
    bench.approve_as(payment_id)
    assert bench.complete().status == "requires_action"
    assert bench.money_taken() == []


def test_update_that_comes_twice_is_applied_once(bench: GatedBench) -> None:
    bench.given_out()
    first = bench.update(2000)
    again = bench.update(2000)
    assert (again.intent.id, again.revision, again.replayed) == (first.intent.id, 1, True)
    bench.update(3000)
    with pytest.raises(Changed):
        bench.update(2000)
    assert bench.update(2000, expected_revision=2).revision == 3


def test_update_expects_the_state_that_it_names(bench: GatedBench) -> None:
    bench.given_out()
    wrong: list[dict[str, Any]] = [{"expected_revision": 1}, {"expected_amount": 1}]
    for expected in wrong:
        with pytest.raises(Changed) as raised:
            bench.update(2000, **expected)
        assert raised.value.facts == {"revision": 0, "amount": 1099}


@pytest.mark.parametrize("kind", ["lost_before", "lost_after"])
def test_update_whose_answer_was_lost_is_resumed(bench: GatedBench, kind: str) -> None:
    payment_id = bench.given_out()
    bench.break_paypal(kind)
    with pytest.raises(PaymentError):
        bench.update(2000)
    bench.heal_paypal()
    again = bench.update(2000)
    assert (again.intent.amount, again.revision, again.replayed) == (2000, 1, True)
    assert again.intent.id != payment_id
    assert bench.record().payment_intent_id == again.intent.id
    assert len(bench.paypal.orders) == 2


def test_update_is_not_resumed_with_the_attempt_of_a_creation(bench: GatedBench) -> None:
    """A creation at the old price has begun another attempt, which got no answer either."""
    bench.given_out()
    for send in (lambda: bench.update(2000), lambda: bench.ask(accepts=PAYPAL_ONLY)):
        bench.break_paypal("lost_before")
        with pytest.raises(PaymentError):
            send()
        bench.heal_paypal()
        bench.now += 20
    for _ in range(2):
        with pytest.raises(PaymentError):
            bench.update(2000)
        assert bench.ask(accepts=PAYPAL_ONLY).intent.amount == 1099


def test_update_of_an_approved_payment_is_rejected(bench: GatedBench) -> None:
    payment_id = bench.approved()
    with pytest.raises(NoLongerOpen) as raised:
        bench.update(2000)
    assert raised.value.code == "payment_requires_capture"
    assert bench.record().payment_intent_id == payment_id


def test_update_of_a_claimed_payment_is_rejected(bench: GatedBench) -> None:
    claimed(bench)
    with pytest.raises(NoLongerOpen) as raised:
        bench.update(2000)
    assert raised.value.code == "payment_processing"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata", {"size": "L"}),
        ("receipt_email", "a@shop.example"),
        ("capture_method", "manual"),
        ("payment_method_types", ["card"]),
        ("currency", "chf"),
    ],
)
def test_field_that_the_gateway_cannot_keep_is_named(
    bench: GatedBench, field: str, value: Any
) -> None:
    payment_id = bench.given_out()
    with pytest.raises(BadRequest) as raised:
        bench.update(2000, **{field: value})
    assert raised.value.param == field
    assert bench.record().payment_intent_id == payment_id


def update(bench: GatedBench) -> Any:
    return bench.update(2000)


@pytest.mark.parametrize("step", range(len(GatedBench.steps_of(update, GatedBench.given_out))))
def test_crash_in_an_update_leaves_one_payment_to_capture(bench: GatedBench, step: int) -> None:
    bench.given_out()
    bench.crash(step, lambda: update(bench))
    bench.now += 60
    updated = bench.update(2000)
    for payment_id in list(bench.paypal.orders):
        bench.approve_as(payment_id)
    assert bench.complete().amount_received == 2000
    assert bench.money_taken() == [updated.intent.id]


# Status, manual captures and refunds.


def test_status_names_the_gateway_only_where_there_are_several(bench: GatedBench) -> None:
    bench.given_out()
    shown = bench.orders.status(OrderRequest(order_id="A-1")).shown()
    assert (shown["gateway"], shown["leftovers"]) == ("paypal", 0)
    assert not {"gateway", "leftovers"} & status_of(bench.record(), bench.now).shown().keys()


def test_refreshed_status_captures_what_is_approved(bench: GatedBench) -> None:
    payment_id = bench.approved()
    shown = bench.orders.status(OrderRequest(order_id="A-1"), refresh=True)
    assert (shown.status, shown.paid, shown.amount_received) == ("succeeded", True, 1099)
    assert bench.money_taken() == [payment_id]


def test_refreshed_status_of_an_order_paid_before_is_shown(bench: GatedBench) -> None:
    bench.paid_before()
    assert bench.orders.status(OrderRequest(order_id="A-1"), refresh=True).status == "processing"


@pytest.mark.parametrize("paid", [False, True])
def test_manual_capture_is_not_for_a_gated_gateway(bench: GatedBench, paid: bool) -> None:
    bench.approved()
    if paid:
        bench.complete()
    with pytest.raises(NotAuthorized):
        bench.capture()
    assert bench.captures_sent() == paid


# Free.


def free(bench: GatedBench) -> None:
    record = check_missing(bench.context, bench.record().order, bench.soon())
    free_order(bench.context, record, "looked")


def test_fence_is_lifted_by_a_person(bench: GatedBench) -> None:
    bench.paid_before()
    free(bench)
    record = bench.record()
    assert (record.follow_up.paid_before, record.payment_status) == (False, "canceled")
    assert record.follow_up.history[-1] == {
        "at": bench.now,
        "what": "freed",
        "status": "canceled",
        "reason": "looked",
    }
    assert bench.ask().gateway == "stripe"


def test_order_whose_own_capture_may_still_arrive_is_not_freed(bench: GatedBench) -> None:
    """PayPal refused a resend as a duplicate, and nothing of the first send is known."""
    payment_id = bench.approved()
    bench.break_captures("lost_before", count=None)
    bench.tried()
    bench.paypal.faults.clear()
    bench.now += 20
    bench.paypal.orders[payment_id].plan = "DUPLICATE_INVOICE_ID"
    assert isinstance(bench.tried(), AlreadyPaid)
    with pytest.raises(Changed, match="may still arrive"):
        free(bench)
    bench.now += HOUR
    free(bench)
    assert bench.ask().gateway == "stripe"


def test_order_paid_before_that_went_on_at_stripe_is_freed_once_its_intent_is_canceled(
    bench: GatedBench,
) -> None:
    """PayPal's refusal arrived after another request had begun the order at Stripe."""
    first = bench.ask(accepts=STRIPE_ONLY).intent
    marked = gated_transitions.paid_before(bench.record(), bench.now, "DUPLICATE_INVOICE_ID")
    assert bench.records.replace(bench.record(), marked)
    with pytest.raises(AlreadyPaid) as refused:
        bench.ask(accepts=STRIPE_ONLY)
    assert refused.value.facts == {"gateway": "paypal"}
    with pytest.raises(Changed, match="Cancel it"):
        free(bench)
    bench.orders.cancel(CancelRequest(order_id="A-1"))
    free(bench)
    assert not bench.record().follow_up.paid_before
    second = bench.ask(accepts=STRIPE_ONLY).intent
    assert bench.payable() == [second.id] != [first.id]


def test_order_paid_before_stays_refused_without_the_gateway(bench: GatedBench) -> None:
    """The shop no longer uses PayPal, and the order has gone on at Stripe."""
    bench.ask(accepts=STRIPE_ONLY)
    marked = gated_transitions.paid_before(bench.record(), bench.now, "DUPLICATE_INVOICE_ID")
    assert bench.records.replace(bench.record(), marked)
    bench.context = replace(bench.context, gated={}, failover=None)
    with pytest.raises(AlreadyPaid):
        bench.ask(accepts=STRIPE_ONLY)


def test_order_that_was_not_paid_before_is_not_freed(bench: GatedBench) -> None:
    bench.given_out()
    with pytest.raises(Changed):
        free(bench)


def test_capture_that_the_gateway_does_not_show_is_given_up_by_a_person(
    bench: GatedBench,
) -> None:
    payment_id = claimed(bench)
    bench.paypal.orders.pop(payment_id)
    with pytest.raises(Changed):
        free(bench)
    bench.now += HOUR
    free(bench)
    assert bench.status() == "canceled"


def test_payment_in_doubt_is_not_freed(bench: GatedBench) -> None:
    payment_id = bench.approved("INSTRUMENT_DECLINED")
    bench.break_captures("lost_before", count=None)
    bench.tried()
    bench.paypal.faults.clear()
    bench.complete()
    bench.paypal.orders.pop(payment_id)
    bench.now += HOUR - 60
    with pytest.raises(Changed):
        free(bench)


def test_order_that_its_own_late_capture_paid_is_not_freed(bench: GatedBench) -> None:
    bench.paid_before()
    payment_id = bench.record().payment_intent_id
    bench.paypal.rules = dataclasses.replace(bench.paypal.rules, unique_invoices="never")
    bench.capture_named(payment_id)
    with pytest.raises(Changed):
        free(bench)
    assert bench.record().follow_up.paid_before


def test_capture_under_way_is_not_freed(bench: GatedBench) -> None:
    payment_id = bench.approved()
    sends = [at for at, name in enumerate(STEPS) if name == "paypal send"]
    bench.crash(sends[1], bench.complete)
    bench.paypal.orders.pop(payment_id)
    with pytest.raises(Changed):
        free(bench)


def test_record_of_an_order_whose_gateway_is_not_configured_is_left(bench: GatedBench) -> None:
    bench.approved()
    before = bench.record()
    bench.orders.context = replace(bench.context, gated={})
    with pytest.raises(Misconfigured):
        bench.cancel()
    with pytest.raises(Misconfigured):
        bench.update(2000)
    assert bench.record() == before
    assert complete(bench.context, before, bench.soon())[1].status == "succeeded"
