"""The reconciler finds refunds, captures and disputes that the records lack."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.errors import PaymentError
from sandbox import dashboard
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench

HOUR = 3600.0
REFUND = Match(method="POST", path="/v1/refunds")
CAPTURE = Match(method="POST", path="/v1/payment_intents/pi_")


@pytest.fixture
def bench() -> AfterBench:
    bench = AfterBench()
    bench.paid()
    return bench


def fail(bench: AfterBench, kind: str, match: Match = REFUND, **more: Any) -> None:
    """Refund, or capture, and fail."""
    bench.sandbox.faults.order(FaultOrder(kind, match, count=None, **more))
    with pytest.raises(PaymentError):
        bench.capture(700) if match is CAPTURE else bench.refund("R-1", 500)
    bench.sandbox.faults.clear()


def state(bench: AfterBench) -> str:
    found: str = bench.record().follow_up.refunds[0].state
    return found


def test_unrecorded_refund_is_found_and_recorded_once(bench: AfterBench) -> None:
    dashboard.refund_intent(bench.sandbox, bench.payable()[0], 400)
    before = bench.record()
    assert bench.reconcile(dry_run=True) == {"checked": 1, "money_noted": 1}
    assert bench.record() == before
    assert bench.reconcile() == {"checked": 1, "money_noted": 1}
    assert bench.reconcile() == {"checked": 1}
    assert bench.record().follow_up.refunded == 400
    assert bench.deliver_all() == ["order.paid", "order.refunded"]


def test_dry_run_counts_the_refunds_of_a_lost_order(bench: AfterBench) -> None:
    dashboard.refund_intent(bench.sandbox, bench.payable()[0], 400)
    bench.lose()
    counts = {"checked": 1, "adopted": 1, "paid_late": 1, "money_noted": 1}
    assert bench.reconcile(dry_run=True) == counts
    assert bench.reconcile() == counts


def test_unrecorded_dispute_is_found(bench: AfterBench) -> None:
    dispute = bench.dispute(bench.payable()[0])
    assert bench.reconcile() == {"checked": 1, "money_noted": 1}
    bench.now += 30 * 24 * HOUR
    bench.dispute_ends(dispute["id"], "win")
    assert bench.reconcile(days=1)["money_noted"] == 1
    assert bench.deliver_all() == ["order.paid", "order.disputed", "order.dispute_closed"]


def test_unknown_refund_that_was_made_is_recorded(bench: AfterBench) -> None:
    fail(bench, "lost_after")
    assert bench.reconcile(dry_run=True) == {"checked": 1, "money_noted": 1}
    assert state(bench) == "pending"
    assert bench.reconcile() == {"checked": 1, "money_noted": 1}
    assert state(bench) == "made"
    assert bench.refund("R-1", 500).replayed


@pytest.mark.parametrize("dry_run", [False, True])
def test_unknown_refund_that_was_not_made_stays_unknown(bench: AfterBench, dry_run: bool) -> None:
    fail(bench, "error_500_without_object")
    assert bench.reconcile(dry_run=dry_run) == {"checked": 1, "money_unknown": 1, "unresolved": 1}
    assert bench.sends("POST /v1/refunds 200") == 0


def test_unknown_refund_is_closed_when_nothing_can_make_it(bench: AfterBench) -> None:
    fail(bench, "error_500_without_object")
    bench.now += 1.1 * HOUR
    assert bench.reconcile(dry_run=True) == {"checked": 1}
    assert state(bench) == "pending"
    assert bench.reconcile() == {"checked": 1}
    assert state(bench) == "rejected"
    assert bench.refund("R-2").amount == 1099


@pytest.mark.parametrize("hours", [0, 2, 25])
@pytest.mark.parametrize("kind", ["lost_before", "error_500_without_object", "error_503"])
def test_closed_refund_may_be_asked_for_again(bench: AfterBench, kind: str, hours: float) -> None:
    """It is sent under the same key first, which may hold the saved 500."""
    fail(bench, kind)
    bench.now += 1.1 * HOUR
    bench.reconcile()
    bench.now += hours * HOUR
    bench.refund("R-1", 500)
    assert bench.refunded() == 500
    assert len(bench.refunds()) == 1


def test_refund_that_fails_weeks_later_is_found() -> None:
    bench = AfterBench()
    bench.pay_with(bench.ask().intent.id, "pm_card_pendingRefund")
    bench.refund("R-1")
    bench.now += 20 * 24 * HOUR
    dashboard.change_refund(bench.sandbox, bench.refunds()[0]["id"], "fail", "unknown")
    assert bench.reconcile(days=1)["money_noted"] == 1
    assert bench.record().follow_up.refunds[0].status == "failed"


def test_authorization_that_lapses_soon_is_counted() -> None:
    bench = AfterBench()
    bench.authorized()
    assert "lapsing" not in bench.reconcile()
    bench.now += 6.5 * 24 * HOUR
    assert bench.reconcile(dry_run=True)["lapsing"] == 1
    assert bench.reconcile()["lapsing"] == 1
    bench.now += 24 * HOUR
    bench.sandbox.settle()
    bench.reconcile()
    assert bench.record().payment_status == "canceled"
    assert "lapsing" not in bench.reconcile()


@pytest.mark.parametrize(("kind", "taken"), [("lost_after", 700), ("lost_before", 0)])
def test_unknown_capture_is_found(kind: str, taken: int) -> None:
    bench = AfterBench()
    bench.authorized()
    if taken:
        steps = AfterBench.steps_of(lambda bench: bench.capture(700), AfterBench.authorized)
        last = len(steps) - 1 - steps[::-1].index("answer")
        bench.crash(last, lambda: bench.capture(700))
    else:
        fail(bench, kind, CAPTURE)
    bench.now += 60
    found = bench.reconcile()
    assert found.get("money_unknown", 0) == (0 if taken else 1)
    bench.now += 1.1 * HOUR
    assert "money_unknown" not in bench.reconcile()
    [made] = bench.made()
    assert made["amount_received"] == taken
    if not taken:
        assert bench.capture(500).amount_captured == 500


def test_refund_made_twice_is_an_alarm(bench: AfterBench) -> None:
    bench.refund("R-1", 400)
    metadata = {"metadata[order_id]": "A-1", "metadata[refund_id]": "R-1"}
    bench.send("/v1/refunds", {"payment_intent": bench.payable()[0], "amount": 400, **metadata})
    for dry_run in (True, False):
        [alarm] = bench.reconcile(dry_run=dry_run)["alarms"]
        assert alarm == "refunded_twice: order 'A-1' refund R-1"


def test_refunds_of_other_software_are_skipped(bench: AfterBench) -> None:
    made = bench.send("/v1/payment_intents", {"amount": 500, "currency": "usd"})
    bench.act(made["id"], "confirm")
    bench.send("/v1/refunds", {"payment_intent": made["id"]})
    assert bench.reconcile() == {"checked": 1}


def test_reconcile_of_a_million_orders_lists_no_refunds_one_by_one(bench: AfterBench) -> None:
    """The reconciler sends no request for an order without refunds."""
    for n in range(5):
        bench.paid(order_id=f"B-{n}")
    before = bench.sends("GET /v1/refunds")
    bench.reconcile()
    assert bench.sends("GET /v1/refunds") == before + 1
