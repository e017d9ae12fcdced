"""The capture at a gated gateway: money moves once, and each outcome is recorded (rule 18)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import (
    AlreadyPaid,
    GatewayFailed,
    InFlight,
    Misconfigured,
    PaymentError,
    Refused,
)
from payment_service.gateways.capture_outcome import (
    AccountRefused,
    CaptureOutcome,
    CaptureUnclear,
    PaymentGone,
)
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.context import Context
from payment_service.payments.gated.complete import complete_with_link
from sandbox.paypal.acts import change_capture
from tests.support.gated_bench import HOUR, GatedBench


@pytest.fixture
def bench() -> GatedBench:
    return GatedBench()


class Scripted:
    """A gated gateway whose next capture ends as the test says, without a send."""

    def __init__(self, gateway: Any, outcome: CaptureOutcome) -> None:
        self._gateway, self._outcome = gateway, outcome

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def capture(self, *_: Any) -> CaptureOutcome:
        return self._outcome


def scripted(bench: GatedBench, outcome: CaptureOutcome) -> Context:
    gateway: Any = Scripted(bench.context.gated["paypal"], outcome)
    return replace(bench.context, gated={"paypal": gateway})


STEPS = GatedBench.steps_of(GatedBench.complete, GatedBench.approved)


# The table in gateways.capture_outcome.


def test_approved_payment_is_captured_and_told(bench: GatedBench) -> None:
    payment_id = bench.approved()
    assert bench.complete().status == "succeeded"
    record = bench.record()
    assert (record.payment_status, record.follow_up.approval_look) == ("succeeded", None)
    assert bench.claim().claimed_at is None
    assert bench.money_taken() == [payment_id]
    assert bench.deliver_all() == ["order.paid"]
    assert bench.shop.bodies[0]["data"]["object"]["gateway"] == "paypal"
    assert bench.complete().status == "succeeded"
    assert bench.captures_sent() == 1


def test_payment_that_is_not_approved_is_left_as_it_is(bench: GatedBench) -> None:
    payment_id = bench.given_out()
    before = bench.record()
    found = bench.complete()
    assert found.status == "requires_action"
    assert payment_id in str(found.redirect_url)
    assert (bench.record(), bench.captures_sent()) == (before, 0)


def test_approval_is_not_captured_for_a_request_that_cannot_use_it(bench: GatedBench) -> None:
    bench.approved()
    assert bench.complete(capture=False).status == "requires_capture"
    assert (bench.status(), bench.captures_sent(), bench.money_taken()) == (
        "requires_capture",
        0,
        [],
    )
    assert bench.deliver_all() == []


def test_pending_capture_is_processing_until_the_bank_decides(bench: GatedBench) -> None:
    payment_id = bench.approved("PENDING")
    assert bench.complete().status == "processing"
    assert (bench.claim().claimed_at, bench.status()) == (None, "processing")
    assert bench.complete().status == "processing"
    assert bench.captures_sent() == 1
    change_capture(bench.paypal, payment_id, "COMPLETED")
    bench.now += HOUR
    assert bench.look_for_approvals() == [True]
    assert (bench.status(), bench.deliver_all()) == ("succeeded", ["order.paid"])


def test_shopper_who_must_act_again_gets_the_page(bench: GatedBench) -> None:
    payment_id = bench.approved("ORDER_NOT_APPROVED")
    found = bench.complete()
    assert found.status == "requires_action"
    claim = bench.claim()
    assert (claim.claimed_at, claim.number, claim.declined) == (None, 2, False)
    assert (bench.status(), bench.deliver_all()) == ("requires_action", [])
    bench.approve_as(payment_id)
    assert bench.complete().status == "succeeded"


def test_declined_payment_is_told_and_captured_after_another_approval(bench: GatedBench) -> None:
    payment_id = bench.approved("INSTRUMENT_DECLINED")
    found = bench.complete()
    assert found.status == "requires_action"
    assert payment_id in str(found.redirect_url)
    assert (bench.claim().number, bench.claim().declined) == (2, True)
    assert bench.deliver_all() == ["order.failed"]
    told = bench.shop.bodies[0]["data"]["object"]
    assert (told["status"], told["failure_code"]) == ("requires_action", "INSTRUMENT_DECLINED")
    bench.approve_as(payment_id)
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]
    assert bench.deliver_all() == ["order.failed", "order.paid"]


def test_page_after_a_decline_comes_from_the_rejection(bench: GatedBench) -> None:
    bench.paypal.rules = dataclasses.replace(
        bench.paypal.rules, declined_goes_back=False, links_on_read=False
    )
    payment_id = bench.approved("INSTRUMENT_DECLINED")
    sent = len(bench.at_paypal)
    assert payment_id in str(bench.complete().redirect_url)
    # A read and a capture, which rejects and is followed by another read.
    assert bench.at_paypal[sent:].count("send") == 3


def test_each_decline_is_told_once(bench: GatedBench) -> None:
    payment_id = bench.approved("INSTRUMENT_DECLINED")
    bench.complete()
    bench.approve_as(payment_id, "INSTRUMENT_DECLINED")
    bench.complete()
    bench.complete()
    assert bench.deliver_all() == ["order.failed", "order.failed"]
    assert bench.claim().number == 3


def test_job_never_captures_after_a_decline_by_itself(bench: GatedBench) -> None:
    bench.paypal.rules = dataclasses.replace(bench.paypal.rules, declined_goes_back=False)
    bench.approved("INSTRUMENT_DECLINED")
    bench.complete()
    for _ in range(6):
        bench.now += HOUR / 2
        bench.look_for_approvals()
    assert bench.captures_sent() == 1


@pytest.mark.parametrize("plan", ["TRANSACTION_REFUSED", "DECLINED", "FAILED"])
def test_refusal_for_good_ends_the_payment(bench: GatedBench, plan: str) -> None:
    bench.approved(plan)
    assert bench.complete().status == "canceled"
    record = bench.record()
    assert (record.payment_status, record.follow_up.gated_capture) == ("canceled", None)
    assert record.follow_up.approval_look is None
    assert (bench.deliver_all(), bench.money_taken()) == (["order.canceled"], [])


def test_payment_that_lapses_under_a_fresh_claim_is_over(bench: GatedBench) -> None:
    payment_id = bench.approved()
    claimed = STEPS.index("paypal send", STEPS.index("paypal answer"))
    with bench.meanwhile(claimed, lambda: bench.paypal.orders.pop(payment_id)):
        assert bench.complete().status == "canceled"
    assert (bench.status(), bench.money_taken()) == ("canceled", [])


def test_missing_payment_stays_unknown_after_an_unresolved_capture(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.break_captures("lost_before", count=None)
    assert isinstance(bench.tried(), GatewayFailed)
    bench.paypal.faults.clear()
    bench.paypal.orders.pop(payment_id)
    for seconds in (1.0, 25 * HOUR):
        bench.now += seconds
        assert isinstance(bench.tried(), GatewayFailed)
        assert (bench.status(), bench.claim().sent) == ("processing", True)
    assert "capture_stuck" in bench.whats()


def test_refused_account_takes_a_fresh_claim_back(bench: GatedBench) -> None:
    bench.approved()
    bench.break_captures("forbidden")
    assert isinstance(bench.tried(), Misconfigured)
    assert (bench.status(), bench.claim().claimed_at) == ("requires_capture", None)
    assert bench.complete().status == "succeeded"


def test_refused_account_keeps_an_unresolved_claim(bench: GatedBench) -> None:
    payment_id = bench.approved()
    bench.break_captures("lost_before", count=None)
    bench.tried()
    bench.paypal.faults.clear()
    bench.break_captures("forbidden")
    assert isinstance(bench.tried(), Misconfigured)
    assert (bench.status(), bench.claim().sent) == ("processing", True)
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]


def test_order_that_was_paid_before_is_marked(bench: GatedBench) -> None:
    first = bench.approved()
    bench.complete()
    bench.lose()
    # PayPal has forgotten the request id of the creation.
    bench.now += 7 * HOUR
    second = bench.approved()
    assert second != first
    assert isinstance(bench.tried(), AlreadyPaid)
    record = bench.record()
    assert (record.follow_up.paid_before, record.payment_status) == (True, "processing")
    assert record.follow_up.approval_look is None
    sent = bench.captures_sent()
    assert isinstance(bench.tried(), AlreadyPaid)
    assert bench.captures_sent() == sent
    assert ("paid_before" in bench.whats(), bench.money_taken()) == (True, [first])


def refused_while_under_way(bench: GatedBench) -> str:
    """PayPal refuses a resend as a duplicate, while the first send is still under way to it."""
    payment_id = bench.approved()
    bench.break_captures("lost_before", count=None)
    assert isinstance(bench.tried(), PaymentError)
    bench.paypal.faults.clear()
    bench.now += 20
    bench.paypal.orders[payment_id].plan = "DUPLICATE_INVOICE_ID"
    assert isinstance(bench.tried(), AlreadyPaid)
    assert bench.record().follow_up.paid_before
    bench.paypal.orders[payment_id].plan = "COMPLETED"
    return payment_id


def test_own_capture_that_was_taken_for_an_earlier_payment_is_recorded(bench: GatedBench) -> None:
    payment_id = refused_while_under_way(bench)
    bench.capture_named(payment_id)
    assert bench.complete().status == "succeeded"
    assert (bench.record().follow_up.paid_before, bench.money_taken()) == (False, [payment_id])
    assert bench.deliver_all() == ["order.paid"]


def test_refusal_as_a_duplicate_tells_nothing_about_an_earlier_send_of_the_call(
    bench: GatedBench,
) -> None:
    payment_id = bench.approved()
    bench.break_captures("lost_before", count=1)
    bench.paypal.orders[payment_id].plan = "DUPLICATE_INVOICE_ID"
    assert isinstance(bench.tried(), GatewayFailed)
    assert (bench.claim().sent, bench.record().follow_up.paid_before) == (True, False)


@pytest.mark.parametrize("kind", ["lost_after", "error_500_with_object", "html", "cut_body"])
def test_lost_answer_is_read_before_anything_is_sent_again(bench: GatedBench, kind: str) -> None:
    payment_id = bench.approved()
    bench.break_captures(kind, count=None)
    # Only the read before the capture arrives.
    with bench.meanwhile(STEPS.index("paypal send", 4), lambda: bench.break_reads("lost_before")):
        assert isinstance(bench.tried(), GatewayFailed)
    claim = bench.claim()
    assert (bench.status(), claim.sent, claim.until <= bench.now) == ("processing", True, True)
    bench.paypal.faults.clear()
    sent = bench.captures_sent()
    assert bench.complete().status == "succeeded"
    assert (bench.captures_sent(), bench.money_taken()) == (sent, [payment_id])
    assert bench.deliver_all() == ["order.paid"]


@pytest.mark.parametrize("kind", ["lost_before", "error_503", "rate_limited", "key_in_use"])
def test_capture_without_an_answer_is_sent_again(bench: GatedBench, kind: str) -> None:
    payment_id = bench.approved()
    bench.break_captures(kind, count=None)
    assert isinstance(bench.tried(), PaymentError)
    assert (bench.status(), bench.claim().number) == ("processing", 1)
    bench.paypal.faults.clear()
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]


def test_claim_without_a_send_is_taken_back(bench: GatedBench) -> None:
    bench.approved()
    unclear = CaptureUnclear(GatewayFailed("No token."), nothing_sent=True)
    assert isinstance(bench.tried(scripted(bench, unclear)), GatewayFailed)
    assert (bench.status(), bench.claim().claimed_at) == ("requires_capture", None)
    assert bench.complete().status == "succeeded"


@pytest.mark.parametrize(
    "outcome",
    [
        CaptureUnclear(GatewayFailed("No token."), nothing_sent=True),
        AccountRefused(Misconfigured("Not allowed.")),
        PaymentGone(Refused("Not found.")),
    ],
)
def test_later_send_that_moved_nothing_keeps_the_claim(
    bench: GatedBench, outcome: CaptureOutcome
) -> None:
    bench.approved()
    bench.break_captures("lost_before", count=None)
    bench.tried()
    assert isinstance(bench.tried(scripted(bench, outcome)), PaymentError)
    assert (bench.status(), bench.claim().sent) == ("processing", True)


def test_claim_of_a_crashed_process_counts_as_sent(bench: GatedBench) -> None:
    payment_id = bench.approved()
    sends = [at for at, name in enumerate(STEPS) if name == "paypal send"]
    bench.crash(sends[1], bench.complete)
    bench.now += 60
    bench.break_captures("forbidden")
    assert isinstance(bench.tried(), Misconfigured)
    assert (bench.status(), bench.claim().sent) == ("processing", True)
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]


def test_rejection_after_a_lost_send_keeps_the_order_from_being_canceled(
    bench: GatedBench,
) -> None:
    payment_id = bench.approved("INSTRUMENT_DECLINED")
    bench.break_captures("lost_before", count=None)
    bench.tried()
    bench.paypal.faults.clear()
    assert bench.complete().status == "requires_action"
    with pytest.raises(PaymentError) as raised:
        bench.cancel()
    assert raised.value.code == "payment_processing"
    bench.now += HOUR
    bench.cancel()
    assert (bench.status(), bench.money_taken()) == ("canceled", [])
    assert payment_id in bench.paypal.orders


def test_lapsed_payment_without_a_claim_is_canceled(bench: GatedBench) -> None:
    bench.given_out()
    bench.now += 6 * HOUR
    assert bench.complete().status == "canceled"
    assert (bench.status(), bench.deliver_all()) == ("canceled", ["order.canceled"])
    assert bench.record().follow_up.approval_look is None


def test_gateway_that_does_not_answer_changes_nothing(bench: GatedBench) -> None:
    bench.approved()
    before = bench.record()
    bench.break_reads("lost_before")
    assert isinstance(bench.tried(), GatewayFailed)
    assert (bench.record(), bench.captures_sent()) == (before, 0)


# Crashes, races and a store that fails.


@pytest.mark.parametrize("seconds", [0.0, 30.0, 2 * HOUR])
@pytest.mark.parametrize("step", range(len(STEPS)))
def test_crash_at_any_step_captures_once(bench: GatedBench, step: int, seconds: float) -> None:
    payment_id = bench.approved()
    bench.crash(step, bench.complete)
    bench.now += seconds
    assert (bench.complete().status, bench.status()) == ("succeeded", "succeeded")
    assert bench.money_taken() == [payment_id]
    assert bench.deliver_all() == ["order.paid"]


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_job_finishes_what_a_crash_left(bench: GatedBench, step: int) -> None:
    payment_id = bench.approved()
    bench.crash(step, bench.complete)
    for _ in range(8):
        bench.now += 60
        bench.look_for_approvals()
    assert (bench.status(), bench.money_taken()) == ("succeeded", [payment_id])


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_two_captors_at_once_capture_once(bench: GatedBench, step: int) -> None:
    payment_id = bench.approved()
    found: list[object] = []
    with bench.meanwhile(step, lambda: found.append(bench.tried())):
        found.append(bench.tried())
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]
    assert len(found) == 2
    assert not [each for each in bench.whats() if each in ("two_taken", "stray_paid")]
    assert bench.deliver_all() == ["order.paid"]


@pytest.mark.parametrize("step", [at for at, name in enumerate(STEPS) if name.startswith("store")])
def test_failing_store_captures_once(bench: GatedBench, step: int) -> None:
    payment_id = bench.approved()

    def fail() -> None:
        raise StoreUnavailable("down")

    with bench.meanwhile(step, fail), pytest.raises(StoreUnavailable):
        bench.complete()
    bench.now += 30
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]


def test_store_that_fails_at_the_claim_sends_nothing(bench: GatedBench) -> None:
    bench.approved()

    def fail() -> None:
        raise StoreUnavailable("down")

    sends = [at for at, name in enumerate(STEPS) if name == "paypal send"]
    with bench.meanwhile(sends[1] - 2, fail), pytest.raises(StoreUnavailable):
        bench.complete()
    assert bench.captures_sent() == 0


def test_process_that_was_suspended_after_its_claim_sends_nothing(bench: GatedBench) -> None:
    bench.approved()
    claimed = STEPS.index("paypal send", STEPS.index("paypal answer")) - 1

    def suspend() -> None:
        bench.now += 60

    with bench.meanwhile(claimed, suspend):
        assert isinstance(bench.tried(), InFlight)
    assert bench.captures_sent() == 0
    assert bench.complete().status == "succeeded"


def test_no_capture_is_claimed_without_the_time_to_send_it(bench: GatedBench) -> None:
    bench.approved()
    with pytest.raises(InFlight):
        complete_with_link(bench.context, bench.record(), bench.soon(1.0))
    assert (bench.claim() is None or bench.claim().claimed_at is None) is True
    assert bench.captures_sent() == 0


def test_another_process_waits_for_the_capture_under_way(bench: GatedBench) -> None:
    bench.approved()
    sends = [at for at, name in enumerate(STEPS) if name == "paypal send"]
    began = bench.now
    seen: list[float] = []

    def other() -> None:
        with pytest.raises(InFlight):
            complete_with_link(bench.context, bench.record(), bench.soon(7.0))
        seen.append(bench.now - began)

    with bench.meanwhile(sends[1], other):
        assert bench.complete().status == "succeeded"
    assert 5 < seen[0] < 8


@pytest.mark.parametrize("send", [1, 2], ids=["killed before the send", "killed after the send"])
def test_next_request_waits_for_a_killed_capture_and_finishes_it(
    bench: GatedBench, send: int
) -> None:
    payment_id = bench.approved()
    names = ("paypal send", "paypal answer")
    steps = [at for at, name in enumerate(STEPS) if name in names]
    bench.crash(steps[send + 1], bench.complete)
    killed_at = bench.now
    assert bench.complete().status == "succeeded"
    assert bench.money_taken() == [payment_id]
    assert bench.now - killed_at < 10


@pytest.mark.parametrize("plan", ["COMPLETED", "INSTRUMENT_DECLINED", "TRANSACTION_REFUSED"])
def test_claim_is_taken_over_from_a_sender_that_comes_back(bench: GatedBench, plan: str) -> None:
    payment_id = bench.approved(plan)
    sends = [at for at, name in enumerate(STEPS) if name == "paypal send"]

    def suspend_and_take_over() -> None:
        bench.now += 60
        bench.tried()

    with bench.meanwhile(sends[1], suspend_and_take_over):
        bench.tried()
    whats = [each["what"] for each in bench.record().follow_up.history]
    ends = ("captured", "capture declined", "capture refused")
    assert len([each for each in whats if each in ends]) == 1
    assert bench.money_taken() == ([payment_id] if plan == "COMPLETED" else [])
    assert len(bench.deliver_all()) == 1


def test_capture_that_stays_unknown_fills_no_history(bench: GatedBench) -> None:
    bench.approved()
    bench.break_captures("lost_before", count=None)
    for _ in range(30):
        bench.tried()
        bench.now += 60
    history = [each["what"] for each in bench.record().follow_up.history]
    assert history == [
        "claimed",
        "created",
        "seen",
        "capture sent",
        "capture unknown",
        "capture taken over",
    ]


# The page of the shopper.


def test_page_comes_from_a_resend_if_a_read_does_not_show_it(bench: GatedBench) -> None:
    payment_id = bench.given_out()
    bench.paypal.rules = dataclasses.replace(bench.paypal.rules, links_on_read=False)
    bench.now += HOUR
    assert payment_id in str(bench.complete().redirect_url)
    assert list(bench.paypal.orders) == [payment_id]
    bench.now += 4.5 * HOUR
    assert bench.complete().redirect_url is None
    assert list(bench.paypal.orders) == [payment_id]
