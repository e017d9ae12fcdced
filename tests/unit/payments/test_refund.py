"""A refund happens once, whatever is lost, repeated, doubled or forgotten."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from payment_service.errors import (
    BadRequest,
    GatewayFailed,
    GatewayUnreachable,
    InFlight,
    NotFound,
    NotPaid,
    PaymentError,
    RefundReused,
    Refused,
)
from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.record import transitions
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.record.money import MAX_OTHER_REFUNDS, MAX_REFUNDS, RefundEntry
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench

HOUR = 3600.0
REFUND = Match(method="POST", path="/v1/refunds")
LIST = Match(method="GET", path="/v1/refunds")


@pytest.fixture
def bench() -> AfterBench:
    bench = AfterBench()
    bench.paid()
    return bench


def break_refunds(bench: AfterBench, kind: str, **more: Any) -> None:
    bench.sandbox.faults.order(FaultOrder(kind, REFUND, **more))


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (PaymentError, StoreUnavailable) as error:
        return error


def entry(bench: AfterBench, refund_id: str = "R-1") -> RefundEntry:
    kept: FollowUp = bench.record().follow_up
    [found] = [each for each in kept.refunds if each.refund_id == refund_id]
    return found


def test_refund_gives_the_amount_back_once(bench: AfterBench) -> None:
    first = bench.refund("R-1", 500)
    assert (first.amount, first.currency, first.status) == (500, "usd", "succeeded")
    assert (first.amount_refunded, first.replayed) == (500, False)
    again = bench.refund("R-1", 500)
    assert (again.stripe_refund_id, again.replayed) == (first.stripe_refund_id, True)
    assert (bench.refunded(), bench.sends("POST /v1/refunds")) == (500, 1)


def test_refund_without_amount_gives_back_what_is_left(bench: AfterBench) -> None:
    bench.refund("R-1", 500)
    rest = bench.refund("R-2")
    assert (rest.amount, rest.amount_refunded) == (599, 1099)
    assert bench.refund("R-2").replayed
    with pytest.raises(BadRequest) as raised:
        bench.refund("R-3")
    assert raised.value.code == "amount_too_large"
    assert bench.refunded() == 1099


def test_more_than_is_left_is_never_sent(bench: AfterBench) -> None:
    bench.refund("R-1", 500)
    with pytest.raises(BadRequest) as raised:
        bench.refund("R-2", 600)
    assert raised.value.code == "amount_too_large"
    assert bench.sends("POST /v1/refunds") == 1
    assert bench.refund("R-2", 599).amount_refunded == 1099


def test_same_refund_with_other_parameters_is_rejected(bench: AfterBench) -> None:
    bench.refund("R-1", 500)
    for more in ({"amount": 501}, {"amount": None}, {"amount": 500, "reason": "duplicate"}):
        with pytest.raises(RefundReused):
            bench.refund("R-1", **more)
    assert bench.refunded() == 500


def test_metadata_and_reason_reach_stripe_with_our_names(bench: AfterBench) -> None:
    bench.refund("R-1", 500, reason="duplicate", metadata={"cart": "7"})
    [made] = bench.refunds()
    assert made["metadata"] == {"cart": "7", "order_id": "A-1", "refund_id": "R-1"}
    assert made["reason"] == "duplicate"


@pytest.mark.parametrize("metadata", [{"refund_id": "x"}, {str(n): "x" for n in range(48)}])
def test_metadata_leaves_room_for_our_names(bench: AfterBench, metadata: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        bench.refund("R-1", 500, metadata=metadata)


def test_unpaid_order_is_not_refunded() -> None:
    bench = AfterBench()
    bench.ask()
    with pytest.raises(NotPaid) as raised:
        bench.refund()
    assert raised.value.facts == {"status": "requires_payment_method"}
    assert bench.sends("POST /v1/refunds") == 0


def test_unknown_order_is_not_refunded() -> None:
    with pytest.raises(NotFound):
        AfterBench().refund()


def test_refund_counts_what_the_dashboard_refunded(bench: AfterBench) -> None:
    intent_id = bench.payable()[0]
    bench.send("/v1/refunds", {"payment_intent": intent_id, "amount": 1000})
    with pytest.raises(BadRequest):
        bench.refund("R-1", 100)
    assert bench.refund("R-2").amount == 99


LOST = ["lost_before", "lost_after", "cut_body", "html", "empty_object"]
EDGE = ["error_503", "request_timeout_408", "lock_timeout", "rate_limited", "key_in_use"]


@pytest.mark.parametrize("hours", [0, 1, 25])
@pytest.mark.parametrize("kind", [*LOST, *EDGE, "error_500_with_object", "forbidden"])
def test_failed_refund_happens_once_after_all(bench: AfterBench, kind: str, hours: int) -> None:
    break_refunds(bench, kind, count=None)
    first = outcome(lambda: bench.refund("R-1", 500))
    bench.sandbox.faults.clear()
    bench.now += hours * HOUR
    again = bench.refund("R-1", 500)
    assert isinstance(first, PaymentError) or first.stripe_refund_id == again.stripe_refund_id
    assert again.amount_refunded == bench.refunded() == 500
    bench.now += 25 * HOUR
    assert bench.refund("R-1", 500).stripe_refund_id == again.stripe_refund_id
    assert len(bench.refunds()) == 1


def test_saved_500_with_the_refund_is_recognised_at_once(bench: AfterBench) -> None:
    break_refunds(bench, "error_500_with_object")
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500


@pytest.mark.parametrize("hours", [0, 0.99])
def test_saved_500_without_refund_is_unknown_for_an_hour(bench: AfterBench, hours: float) -> None:
    break_refunds(bench, "error_500_without_object")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    sends = bench.sends("POST /v1/refunds")
    bench.now += hours * HOUR
    with pytest.raises(GatewayFailed) as raised:
        bench.refund("R-1", 500)
    assert raised.value.code == "stripe_error"
    assert bench.sends("POST /v1/refunds") == sends
    assert entry(bench).state == "pending"


@pytest.mark.parametrize("hours", [1.01, 25])
def test_after_the_hour_another_key_makes_the_refund(bench: AfterBench, hours: float) -> None:
    break_refunds(bench, "error_500_without_object")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    bench.now += hours * HOUR
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500


@pytest.mark.parametrize("seconds", [1, 60, 3500])
def test_refund_that_appears_late_is_not_repeated(bench: AfterBench, seconds: float) -> None:
    break_refunds(bench, "late_object", seconds=seconds)
    outcome(lambda: bench.refund("R-1", 500))
    for _ in range(4):
        bench.now += LATEST_ARRIVAL_SECONDS / 4 - 10
        outcome(lambda: bench.refund("R-1", 500))
    bench.now += 100
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    assert len(bench.refunds()) == 1


def test_unknown_refund_keeps_its_amount_from_others(bench: AfterBench) -> None:
    """Its refund may still appear, so the money is spoken for."""
    break_refunds(bench, "late_object", seconds=1800)
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 1000)
    with pytest.raises(BadRequest):
        bench.refund("R-2", 100)
    bench.now += 1800
    assert bench.refund("R-1", 1000).amount_refunded == 1000


def test_unknown_refund_is_given_up_if_the_money_went_elsewhere(bench: AfterBench) -> None:
    break_refunds(bench, "error_500_without_object")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 1000)
    bench.send("/v1/refunds", {"payment_intent": bench.payable()[0], "amount": 500})
    bench.now += 2 * HOUR
    with pytest.raises(BadRequest):
        bench.refund("R-1", 1000)
    assert entry(bench).state == "rejected"
    assert bench.refund("R-2").amount_refunded == 1099


@pytest.mark.parametrize("kind", ["lost_after", "error_500_with_object", "late_object"])
@pytest.mark.parametrize("hours", [0, 1.1])
def test_lost_record_adopts_the_refund(bench: AfterBench, kind: str, hours: float) -> None:
    break_refunds(bench, kind, count=None, seconds=600)
    outcome(lambda: bench.refund("R-1", 500))
    bench.sandbox.faults.clear()
    bench.lose()
    bench.now += hours * HOUR
    outcome(lambda: bench.refund("R-1", 500))
    bench.now += 2 * HOUR
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    assert len(bench.refunds()) == 1


def test_lost_record_of_a_refund_is_not_refunded_again_weeks_later(bench: AfterBench) -> None:
    first = bench.refund("R-1", 500)
    bench.lose()
    bench.now += 21 * 24 * HOUR
    again = bench.refund("R-1", 500)
    assert (again.stripe_refund_id, again.replayed) == (first.stripe_refund_id, True)
    assert entry(bench).state == "made"
    with pytest.raises(RefundReused):
        bench.refund("R-1", 400)


def test_lost_order_with_two_payments_takes_the_refunded_one() -> None:
    bench = AfterBench()
    first = bench.paid()
    bench.refund("R-1", 500)
    bench.now += 60
    stray = bench.stray("A-1")
    bench.act(stray, "confirm")
    bench.lose()
    bench.now += 2 * HOUR
    assert bench.refund("R-1", 500).replayed
    assert bench.record().payment_intent_id == first
    assert bench.refunded() == 500


def refund_once(bench: AfterBench) -> None:
    outcome(lambda: bench.refund("R-1", 500))


def refund_twice(bench: AfterBench) -> None:
    refund_once(bench)
    bench.now += 60
    refund_once(bench)


STEPS = AfterBench.steps_of(refund_once, AfterBench.paid)
STEPS_OF_TWO = AfterBench.steps_of(refund_twice, AfterBench.paid)


def test_rejection_is_final_for_its_refund(bench: AfterBench) -> None:
    """A dashboard refund between our look and our send: Stripe's own check is the second line."""
    last_send = len(STEPS) - 1 - STEPS[::-1].index("send")
    steal = {"payment_intent": bench.payable()[0], "amount": 1000}
    with (
        bench.meanwhile(last_send, lambda: bench.send("/v1/refunds", steal)),
        pytest.raises(Refused),
    ):
        bench.refund("R-1", 500)
    assert entry(bench).state == "rejected"
    with pytest.raises(BadRequest):
        bench.refund("R-1", 500)
    with pytest.raises(RefundReused):
        bench.refund("R-1", 99)
    assert bench.refund("R-2", 99).amount_refunded == 1099


def rejected_during_a_dispute(bench: AfterBench) -> None:
    dispute = bench.dispute(bench.payable()[0], amount=100)
    with pytest.raises(Refused):
        bench.refund("R-1", 500)
    bench.dispute_ends(dispute["id"], "win")


STEPS_AFTER_A_REJECTION = AfterBench.steps_of(
    refund_once, AfterBench.paid, rejected_during_a_dispute
)


def test_saved_rejection_is_followed_by_another_key(bench: AfterBench) -> None:
    """A dispute forbids the refund. Once it is won, the saved rejection must not block it."""
    rejected_during_a_dispute(bench)
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    assert entry(bench).generation == 2


@pytest.mark.parametrize("step", range(len(STEPS_AFTER_A_REJECTION)))
def test_saved_rejection_does_not_lock_out_its_own_request(bench: AfterBench, step: int) -> None:
    """Another write between the rejection and the next key must not leave the old lease behind."""
    rejected_during_a_dispute(bench)
    began = bench.now

    def touch() -> None:
        held = bench.record()
        assert bench.records.replace(held, transitions.touched(held, bench.now, "seen"))

    with bench.meanwhile(step, touch):
        assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    assert bench.now - began < 5


def test_spent_refund_that_reconcile_closed_gets_the_next_key(bench: AfterBench) -> None:
    break_refunds(bench, "error_500_without_object")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    bench.now += 2 * HOUR
    bench.reconcile(days=30)
    assert entry(bench).state == "rejected"
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500


def test_lost_record_finds_its_refund_among_many_of_the_dashboard(bench: AfterBench) -> None:
    for _ in range(MAX_OTHER_REFUNDS):
        bench.send("/v1/refunds", {"payment_intent": bench.payable()[0], "amount": 1})
    bench.now += 10
    made = bench.refund("R-1", 500)
    bench.lose()
    again = bench.refund("R-1", 500)
    assert (again.stripe_refund_id, again.replayed) == (made.stripe_refund_id, True)
    assert bench.refunded() == 500 + MAX_OTHER_REFUNDS


def test_rejected_resend_leaves_the_refund_unknown(bench: AfterBench) -> None:
    """The first send may have made it, so a rejection of the second tells nothing."""
    break_refunds(bench, "lost_before", count=None)
    with pytest.raises(GatewayUnreachable):
        bench.refund("R-1", 500)
    bench.sandbox.faults.clear()
    bench.dispute(bench.payable()[0], amount=100)
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    assert (entry(bench).state, entry(bench).spent) == ("pending", True)
    bench.now += 1.1 * HOUR
    with pytest.raises(Refused):
        bench.refund("R-1", 500)
    assert entry(bench).state == "rejected"


def test_failed_refund_frees_its_amount_and_keeps_its_name() -> None:
    bench = AfterBench()
    intent_id = bench.ask().intent.id
    bench.pay_with(intent_id, "pm_card_refundFail")
    first = bench.refund("R-1")
    bench.now += 2 * HOUR
    bench.sandbox.settle()
    again = bench.refund("R-1")
    assert (again.stripe_refund_id, again.status) == (first.stripe_refund_id, "failed")
    assert (again.replayed, again.amount_refunded) == (True, 0)
    assert bench.refund("R-2").amount_refunded == bench.refunded() == 1099


def test_number_of_refunds_of_an_order_is_bounded() -> None:
    bench = AfterBench()
    bench.paid(amount=10_000)
    for n in range(MAX_REFUNDS):
        bench.refund(f"R-{n}", 100)
        bench.deliver()
    with pytest.raises(BadRequest) as raised:
        bench.refund("one more", 100)
    assert raised.value.code == "too_many_refunds"
    assert bench.refund("R-0", 100).replayed
    assert len(bench.record().follow_up.text()) < 40_000


def test_refunded_order_is_never_created_again(bench: AfterBench) -> None:
    bench.refund("R-1")
    again = bench.ask()
    assert (again.intent.status, again.replayed) == ("succeeded", True)
    bench.now += 25 * HOUR
    assert bench.ask().intent.status == "succeeded"
    assert len(bench.made()) == 1


def test_sums_of_three_decimals_are_checked() -> None:
    bench = AfterBench()
    intent = bench.ask(amount=5120, currency="kwd").intent
    bench.act(intent.id, "confirm")
    with pytest.raises(BadRequest, match="three decimals"):
        bench.refund("R-1", 5)


# Crashes and races.


@pytest.mark.parametrize("hours", [0, 1.1, 25])
@pytest.mark.parametrize("step", range(len(STEPS)))
def test_crash_at_any_step_refunds_once(bench: AfterBench, step: int, hours: float) -> None:
    bench.crash(step, lambda: bench.refund("R-1", 500))
    bench.now += 60 + hours * HOUR
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    bench.now += 25 * HOUR
    assert bench.refund("R-1", 500).replayed
    assert len(bench.refunds()) == 1


def test_crashes_cover_every_step_of_a_refund(bench: AfterBench) -> None:
    assert len(STEPS) == 12
    assert not bench.crashing(len(STEPS), partial(refund_once, bench))


def broken(kind: str) -> Callable[[AfterBench], None]:
    return lambda bench: break_refunds(bench, kind, count=3, seconds=600)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (kind, step)
        for kind in ("error_500_without_object", "late_object", "lost_after")
        for step in range(len(AfterBench.steps_of(refund_once, AfterBench.paid, broken(kind))))
    ],
)
def test_crash_after_a_fault_refunds_once(bench: AfterBench, kind: str, step: int) -> None:
    broken(kind)(bench)
    bench.crash(step, partial(refund_once, bench))
    for _ in range(5):
        bench.now += 1800
        outcome(lambda: bench.refund("R-1", 500))
    bench.now += LATEST_ARRIVAL_SECONDS + 60
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    assert len(bench.refunds()) == 1


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_two_refunds_never_exceed_what_was_received(bench: AfterBench, step: int) -> None:
    outcomes: list[Any] = []
    with bench.meanwhile(step, lambda: outcomes.append(outcome(lambda: bench.refund("R-2", 700)))):
        outcomes.append(outcome(lambda: bench.refund("R-1", 600)))
    refused = [each for each in outcomes if isinstance(each, BadRequest)]
    assert [each.code for each in refused] == ["amount_too_large"]
    assert bench.refunded() in (600, 700)
    assert bench.sends("POST /v1/refunds") == 1


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_two_copies_of_a_request_refund_once(bench: AfterBench, step: int) -> None:
    outcomes: list[Any] = []
    with bench.meanwhile(step, lambda: outcomes.append(outcome(lambda: bench.refund("R-1", 500)))):
        outcomes.append(outcome(lambda: bench.refund("R-1", 500)))
    made = [each for each in outcomes if not isinstance(each, InFlight | GatewayUnreachable)]
    assert {each.amount_refunded for each in made} == {500}
    bench.now += 60
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    assert len(bench.refunds()) == 1


@pytest.mark.parametrize("step", range(len(STEPS_OF_TWO)))
def test_record_lost_at_any_step_refunds_once(bench: AfterBench, step: int) -> None:
    order = bench.record().order

    def lose() -> None:
        held = bench.store._inner.read(order)  # type: ignore[attr-defined]
        assert held is None or bench.store._inner.forget(held)  # type: ignore[attr-defined]

    with bench.meanwhile(step, lose):
        refund_twice(bench)
    bench.now += 2 * HOUR
    assert bench.refund("R-1", 500).amount_refunded == bench.refunded() == 500
    assert len(bench.refunds()) == 1


@pytest.mark.parametrize("step", [n for n, what in enumerate(STEPS) if what.startswith("store")])
def test_suspended_process_does_not_send(bench: AfterBench, step: int) -> None:
    """It owned the entry a day ago: Stripe has forgotten the key that it is about to send."""

    def suspended() -> None:
        bench.now += 25 * HOUR
        bench.refund("R-1", 500)
        bench.now += 25 * HOUR

    with bench.meanwhile(step, suspended):
        refund_once(bench)
    assert bench.refunded() == 500
    assert len(bench.refunds()) == 1


def test_store_that_fails_after_the_claim_does_not_refund_twice(bench: AfterBench) -> None:
    order = bench.record().order
    writes = iter(range(100))
    real = bench.store.replace

    def failing(current: Any, new: Any) -> bool:
        if next(writes) == 1:
            raise StoreUnavailable("down")
        return real(current, new)

    bench.store.replace = failing  # type: ignore[method-assign]
    first = bench.refund("R-1", 500)
    assert "unrecorded" in bench.whats()
    assert entry(bench).state == "pending"
    bench.now += 60
    assert bench.refund("R-1", 500).stripe_refund_id == first.stripe_refund_id
    assert (entry(bench).state, bench.record().order) == ("made", order)
    assert bench.refunded() == 500


def test_store_that_is_down_refunds_nothing(bench: AfterBench) -> None:
    def down(*_: Any) -> Any:
        raise StoreUnavailable("down")

    bench.store.replace = down  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreUnavailable):
        bench.refund("R-1", 500)
    assert bench.sends("POST /v1/refunds") == 0


def test_unreadable_list_refunds_nothing(bench: AfterBench) -> None:
    bench.sandbox.faults.order(FaultOrder("html", LIST, count=None))
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    assert bench.sends("POST /v1/refunds") == 0


def test_clock_that_ran_ahead_does_not_block_a_refund(bench: AfterBench) -> None:
    bench.now += 90 * 24 * HOUR
    break_refunds(bench, "error_500_without_object")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    bench.now -= 90 * 24 * HOUR
    bench.sandbox.faults.clear()
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)


def test_records_without_refunds_keep_their_text(bench: AfterBench) -> None:
    """A deploy must not rewrite what it does not use."""
    text = '{"history":[{"at":1.0,"what":"claimed"}],"amount":1099,"currency":"usd"}'
    assert FollowUp.parse(text).text() == text
    assert not {"refunds", "capture", "disputes"} & set(bench.record().follow_up.text().split('"'))


def test_entry_survives_the_store(bench: AfterBench) -> None:
    break_refunds(bench, "lost_after", count=None)
    with pytest.raises(GatewayUnreachable):
        bench.refund("R-1", 500, metadata={"name": "ü"})
    kept = bench.record().follow_up
    again = FollowUp.parse(kept.noted(1.0, "x").text())
    assert again.refunds == kept.refunds
    assert again.refunds[0].sent is not None
    assert FollowUp.parse(kept.text()).refunds[0].sent == kept.refunds[0].sent
