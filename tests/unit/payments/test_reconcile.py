"""The reconciler repairs what earlier failures left, once, and touches nothing else."""

from __future__ import annotations

import pytest

from payment_service.errors import GatewayFailed
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench

DAY = 86_400.0


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


def leave_unknown(bench: AfterBench, order_id: str, kind: str = "lost_after") -> None:
    bench.break_creation(kind, count=3)
    with pytest.raises(GatewayFailed):
        bench.ask(order_id)
    bench.sandbox.faults.clear()


def test_reconciler_repairs_1000_orders_without_webhooks(bench: AfterBench) -> None:
    for number in range(950):
        intent_id = bench.ask(f"O-{number}").intent.id
        if number < 300:
            bench.pay(intent_id)
        elif number < 320:
            bench.stray(f"O-{number}")
    for number in range(950, 1000):
        leave_unknown(bench, f"O-{number}", ("lost_after", "lost_before", "error_503")[number % 3])
    assert bench.reconcile() == {"checked": 1000, "adopted": 50, "canceled": 20, "paid_late": 300}
    before = {record.order: record for record in bench.store.scan()}
    posts = bench.sends("POST")
    assert bench.reconcile() == {"checked": 1000}
    assert {record.order: record for record in bench.store.scan()} == before
    assert bench.sends("POST") == posts
    for _ in range(4):
        bench.deliver()
    assert bench.shop.types() == ["order.paid"] * 300
    assert all(len(bench.payable(f"O-{number}")) == 1 for number in range(0, 1000, 7))


def test_dry_run_counts_and_changes_nothing(bench: AfterBench) -> None:
    bench.pay(bench.ask("paid").intent.id)
    bench.ask("with a stray")
    bench.stray("with a stray")
    leave_unknown(bench, "unknown")
    before, posts = list(bench.store.scan()), bench.sends("POST")
    counts = bench.reconcile(dry_run=True)
    assert counts == {"checked": 3, "adopted": 1, "canceled": 1, "paid_late": 1}
    assert (list(bench.store.scan()), bench.sends("POST")) == (before, posts)
    assert bench.reconcile() == counts


def test_order_without_an_answer_from_stripe_stays_unresolved(bench: AfterBench) -> None:
    leave_unknown(bench, "A-1")
    bench.sandbox.faults.order(FaultOrder("error_503", Match(method="POST"), count=None))
    assert bench.reconcile() == {"checked": 1, "unresolved": 1}
    bench.sandbox.faults.clear()
    assert bench.reconcile() == {"checked": 1, "adopted": 1}


def test_old_attempt_without_an_object_is_only_closed(bench: AfterBench) -> None:
    leave_unknown(bench, "A-1", "lost_before")
    bench.now += 2 * DAY
    assert bench.reconcile() == {"checked": 1, "closed": 1}
    assert bench.made() == []
    assert bench.ask().replayed is False
    assert bench.record().attempt == 2


def test_order_paid_twice_raises_an_alarm_each_run(bench: AfterBench) -> None:
    own = bench.ask().intent.id
    bench.pay(own)
    bench.reconcile()
    stray = bench.stray("A-1")
    bench.pay(stray)
    for _ in range(2):
        counts = bench.reconcile()
        assert counts["two_paid"] == 1
        assert counts["alarms"] == [f"two_paid: order 'A-1' {stray} and {own}"]


@pytest.mark.parametrize("paid", [False, True])
def test_unanswered_stray_keeps_its_order_unresolved(bench: AfterBench, *, paid: bool) -> None:
    """The list is newest first: the order's own intent follows the stray, and is correct."""
    own = bench.ask().intent.id
    bench.now += 5
    stray = bench.stray("A-1")
    if paid:
        for each in (own, stray):
            bench.pay(each)
        bench.apply(bench.events()[-2])
    path = f"/v1/payment_intents/{stray}"
    bench.sandbox.faults.order(FaultOrder("error_503", Match("GET", f"{path}$"), count=3))
    assert bench.reconcile()["unresolved"] == 1
    counts = bench.reconcile()
    assert "unresolved" not in counts
    assert counts["two_paid" if paid else "canceled"] == 1


def test_restored_store_learns_intents_made_since_the_backup(bench: AfterBench) -> None:
    """A day later the key creates another one, while a shopper may still have the first."""
    own = bench.ask().intent.id
    bench.store.forget(bench.record())
    late = bench.stray("A-1")
    canceled = bench.ask("A-2").intent.id
    bench.cancel("A-2")
    bench.store.forget(bench.record("A-2"))
    bench.now += 60
    assert bench.reconcile() == {"checked": 2}
    assert bench.record() is None
    assert bench.reconcile(restored=True, dry_run=True) == {"checked": 2, "adopted": 2}
    assert bench.reconcile(restored=True) == {"checked": 2, "adopted": 1, "canceled": 1}
    assert bench.record("A-2") is None
    bench.now += 25 * 3600
    assert {bench.ask().intent.id} == set(bench.payable()) < {own, late}
    assert bench.ask("A-2").intent.id != canceled


def test_paid_order_lost_by_the_store_is_recorded(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    bench.pay(intent_id)
    bench.store.forget(bench.record())
    assert bench.reconcile() == {"checked": 1, "adopted": 1, "paid_late": 1}
    assert bench.ask().intent.id == intent_id


def test_failed_debit_is_noted_at_any_age(bench: AfterBench) -> None:
    intent_id = bench.ask().intent.id
    confirm = {
        "payment_method": "pm_usBankAccount_insufficientFunds",
        "return_url": "https://shop.example/done",
    }
    bench.send(f"/v1/payment_intents/{intent_id}/confirm", confirm)
    assert bench.reconcile() == {"checked": 1, "noted": 1}
    bench.now += 30 * DAY
    bench.sandbox.settle()
    assert bench.reconcile() == {"checked": 1, "noted": 1}
    assert bench.record().payment_status == "requires_payment_method"
    bench.deliver()
    assert bench.shop.types() == ["order.failed"]


def test_webhook_during_the_list_read_is_not_undone(bench: AfterBench) -> None:
    """The list shows it as processing; a webhook reports it paid before the record is read."""
    intent_id = bench.ask().intent.id
    confirm = {"payment_method": "pm_usBankAccount", "return_url": "https://shop.example/done"}
    bench.send(f"/v1/payment_intents/{intent_id}/confirm", confirm)
    bench.apply_all()

    def pay() -> None:
        bench.pay(intent_id)
        bench.apply_all()

    with bench.meanwhile(2, pay):
        assert bench.reconcile() == {"checked": 1}
    assert bench.record().payment_status == "succeeded"


def six_paid_and_one_unknown(bench: AfterBench) -> None:
    for number in range(6):
        bench.pay(bench.ask(f"O-{number}").intent.id)
    leave_unknown(bench, "A-1")


@pytest.mark.parametrize(
    "step", range(len(AfterBench.steps_of(AfterBench.reconcile, six_paid_and_one_unknown)))
)
def test_concurrent_runs_and_requests_do_not_conflict(bench: AfterBench, step: int) -> None:
    six_paid_and_one_unknown(bench)

    def others() -> None:
        bench.reconcile()
        bench.ask("A-1")
        bench.apply_all("O-3")

    with bench.meanwhile(step, others):
        bench.reconcile()
    assert len(bench.payable()) == 1
    for _ in range(3):
        bench.deliver()
    assert bench.shop.types() == ["order.paid"] * 6


def test_next_run_repairs_a_crash_at_any_step() -> None:
    step, crashed = 0, True
    while crashed:
        bench = AfterBench()
        own = bench.ask("paid").intent.id
        bench.pay(own)
        bench.ask("with a stray")
        bench.stray("with a stray")
        leave_unknown(bench, "unknown")
        crashed = bench.crashing(step, bench.reconcile)
        bench.now += 60
        bench.reconcile()
        assert "unresolved" not in bench.reconcile()
        assert [len(bench.payable(o)) for o in ("paid", "with a stray", "unknown")] == [1, 1, 1]
        bench.deliver()
        assert bench.shop.types() == ["order.paid"]
        step += 1
    assert step > 20
