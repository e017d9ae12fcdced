"""A pending attempt at a gated gateway is left only if its key shows no approval (14, 15).

Only a store that went back shows such an attempt after its payment was given out.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import (
    AlreadyPaid,
    BadRequest,
    GatewayNotAccepted,
    GatewayUnreachable,
    NoLongerOpen,
    NotFound,
    OrderReused,
    PaymentError,
    Refused,
)
from payment_service.gateways.outcome import Declined, GatedOutcome, PaidBefore
from payment_service.payments.creation.resolve import resolve
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from tests.support.gated_bench import HOUR, GatedBench
from tests.support.switch_bench import PAYPAL_ONLY, STRIPE_ONLY


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


class Scripted:
    """A gated gateway that answers a creation as the test says, without a send."""

    def __init__(self, gateway: Any, outcome: GatedOutcome) -> None:
        self._gateway, self._outcome = gateway, outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def create(self, *_: Any) -> GatedOutcome:
        return self._outcome


def answer_creation(bench: GatedBench, outcome: GatedOutcome) -> None:
    gateway: Any = Scripted(bench.context.gated["paypal"], outcome)
    bench.context = replace(bench.context, gated={"paypal": gateway})


def go_back(bench: GatedBench) -> None:
    """Let the store forget everything after the claim of the attempt."""
    record = bench.record()
    claimed = transitions.first_claim(bench.wanted(), bench.context.lease())
    first_sent_at = record.first_sent_at
    pending = replace(
        claimed,
        sent=record.sent,
        attempt=record.attempt,
        version=record.version + 1,
        first_sent_at=first_sent_at,
        owner="",
    )
    bench.records.write(record, pending)


def captured_and_forgotten(bench: GatedBench, plan: str = "COMPLETED") -> str:
    payment_id = bench.approved(plan)
    bench.complete()
    go_back(bench)
    return payment_id


def approved_and_forgotten(bench: GatedBench) -> str:
    payment_id = bench.approved()
    go_back(bench)
    return payment_id


def resolved(bench: GatedBench) -> OrderRecord | None:
    return resolve(bench.context, bench.record(), bench.soon())


def ask_stripe(bench: GatedBench) -> object:
    return bench.ask_in(bench.context, accepts=STRIPE_ONLY)


def ask_other_price(bench: GatedBench) -> object:
    return bench.ask_in(bench.context, amount=2000)


LEAVERS: list[tuple[Callable[[GatedBench], object], type[PaymentError]]] = [
    (ask_stripe, GatewayNotAccepted),
    (ask_other_price, OrderReused),
]


@pytest.mark.parametrize(("leaver", "error"), LEAVERS)
@pytest.mark.parametrize("plan", ["COMPLETED", "PENDING"])
def test_forgotten_capture_is_found_before_the_attempt_is_left(
    bench: GatedBench,
    leaver: Callable[[GatedBench], object],
    error: type[PaymentError],
    plan: str,
) -> None:
    payment_id = captured_and_forgotten(bench, plan)
    for _ in range(2):
        with pytest.raises(error):
            leaver(bench)
    status = "succeeded" if plan == "COMPLETED" else "processing"
    assert (bench.record().payment_intent_id, bench.status()) == (payment_id, status)
    assert (bench.money_taken(), bench.made()) == ([payment_id], [])


@pytest.mark.parametrize(("leaver", "error"), LEAVERS)
def test_forgotten_approval_is_kept_and_not_captured_for_another_request(
    bench: GatedBench, leaver: Callable[[GatedBench], object], error: type[PaymentError]
) -> None:
    payment_id = approved_and_forgotten(bench)
    with pytest.raises(error):
        leaver(bench)
    assert (bench.record().payment_intent_id, bench.status()) == (payment_id, "requires_capture")
    assert (bench.captures_sent(), bench.made()) == (0, [])
    bench.now += 60
    assert bench.look_for_approvals() == [True]
    assert bench.money_taken() == [payment_id]


@pytest.mark.parametrize("forgotten", [captured_and_forgotten, approved_and_forgotten])
def test_reconciler_finds_what_the_store_has_forgotten(
    bench: GatedBench, forgotten: Callable[[GatedBench], str]
) -> None:
    payment_id = forgotten(bench)
    bench.reconcile()
    assert (bench.status(), bench.money_taken()) == ("succeeded", [payment_id])
    assert bench.ask_in(bench.context).intent.id == payment_id
    assert bench.made() == []


def test_forgotten_payment_that_is_not_approved_is_left(bench: GatedBench) -> None:
    """Its link is of no use any more: no record names it, so it is never captured."""
    payment_id = bench.given_out()
    go_back(bench)
    assert bench.ask_in(bench.context, accepts=STRIPE_ONLY).gateway == "stripe"
    bench.approve_as(payment_id)
    bench.now += HOUR
    bench.look_for_approvals()
    assert (bench.captures_sent(), len(bench.payable())) == (0, 1)


def test_saved_answer_of_a_creation_is_no_evidence(bench: GatedBench) -> None:
    """The key's answer may show the payment as it was made; a read shows it as it is."""
    payment_id = captured_and_forgotten(bench)
    bench.break_reads("lost_before")
    assert isinstance(tried(bench), GatewayUnreachable)
    bench.heal_paypal()
    resolved(bench)
    assert (bench.record().payment_intent_id, bench.status()) == (payment_id, "succeeded")


def tried(bench: GatedBench) -> object:
    try:
        return resolved(bench)
    except PaymentError as error:
        return error


def test_silent_gateway_leaves_the_order_to_the_next_run(bench: GatedBench) -> None:
    captured_and_forgotten(bench)
    bench.break_paypal("lost_before")
    assert isinstance(tried(bench), GatewayUnreachable)
    assert (bench.record().state, bench.record().owner) == ("pending", "")


def test_request_leaves_a_silent_gateway_after_three_seconds(bench: GatedBench) -> None:
    """The record says that nothing was given out (rule 14), and the shopper waits."""
    bench.given_out()
    go_back(bench)
    bench.break_paypal("lost_before")
    began = bench.now
    assert bench.ask_in(bench.context, accepts=STRIPE_ONLY).gateway == "stripe"
    assert bench.now - began < 5


def test_attempt_with_an_old_key_is_left_like_any_other(bench: GatedBench) -> None:
    bench.given_out()
    go_back(bench)
    bench.now += 7 * HOUR
    created = bench.ask_in(bench.context, accepts=STRIPE_ONLY)
    assert created.gateway == "stripe"
    assert bench.payable() == [created.intent.id]


def ask_again(bench: GatedBench) -> object:
    return bench.ask_in(bench.context)


@pytest.mark.parametrize("leaver", [ask_stripe, ask_other_price, ask_again, resolved])
def test_forgotten_capture_of_an_order_that_began_long_ago_is_found(
    bench: GatedBench, leaver: Callable[[GatedBench], object]
) -> None:
    """The record has the time of the order's first attempt, and this one is a new one."""
    payment_id = captured_and_forgotten(bench)
    pending = bench.record()
    aged = replace(pending, first_sent_at=bench.now - 6 * HOUR, version=pending.version + 1)
    bench.records.write(pending, aged)
    with suppress(GatewayNotAccepted, OrderReused):
        leaver(bench)
    assert (bench.record().payment_intent_id, bench.status()) == (payment_id, "succeeded")
    assert (bench.money_taken(), bench.made()) == ([payment_id], [])


def test_cancellation_finds_a_forgotten_capture(bench: GatedBench) -> None:
    captured_and_forgotten(bench)
    with pytest.raises(NoLongerOpen):
        bench.cancel()
    assert bench.status() == "succeeded"


def test_cancellation_of_what_was_not_paid_finds_nothing(bench: GatedBench) -> None:
    bench.given_out()
    go_back(bench)
    with pytest.raises(NotFound):
        bench.cancel()
    assert bench.record().state == "rejected"


def test_fence_is_heeded_before_an_attempt_is_left(bench: GatedBench) -> None:
    """Rule 21: PayPal refuses the creation because the order's name is paid."""
    captured_and_forgotten(bench)
    answer_creation(bench, PaidBefore(Refused("Paid.", code="DUPLICATE_INVOICE_ID")))
    with pytest.raises(AlreadyPaid):
        ask_stripe(bench)
    assert bench.record().follow_up.paid_before
    assert bench.made() == []


def test_rejection_of_the_creation_is_no_answer_to_another_request(bench: GatedBench) -> None:
    bench.given_out()
    go_back(bench)
    answer_creation(bench, Declined(Refused("No."), replayed=False))
    assert bench.ask_in(bench.context, accepts=STRIPE_ONLY).gateway == "stripe"


def test_request_without_another_gateway_is_rejected_before_it_claims(bench: GatedBench) -> None:
    bench.given_out()
    go_back(bench)
    before = bench.record()
    context = replace(bench.context, failover=None)
    with pytest.raises(BadRequest):
        bench.ask_in(context, accepts=PAYPAL_ONLY, amount=2000)
    assert bench.record() == before
