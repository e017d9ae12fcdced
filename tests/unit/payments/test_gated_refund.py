"""A refund of an order at a gated gateway happens once, as one at the open gateway does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from payment_service.errors import (
    BadRequest,
    GatewayFailed,
    InFlight,
    Misconfigured,
    NotFound,
    NotPaid,
    PaymentError,
    RefundReused,
    Refused,
)
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.changes.details import details_of
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.record.money import RefundEntry
from payment_service.payments.recovery.by_hand import ByHand
from payment_service.payments.request.existing_order import OrderRequest
from sandbox.faults import FaultOrder, Match
from sandbox.paypal import acts
from sandbox.paypal.refusals import REFUND_ISSUES
from tests.support.gated_bench import GatedBench

HOUR, DAY = 3600.0, 86_400.0
REFUND = Match(method="POST", path="/v2/payments/captures/")

# Faults after which the outcome of a send is unknown; the others made nothing.
LOST = ["lost_before", "lost_after", "cut_body", "html", "empty_object"]
ERRORS = ["error_503", "error_500_with_object", "error_500_without_object", "request_timeout_408"]
REJECTED = ["rate_limited", "key_in_use", "unauthorized", "forbidden"]


def paid(bench: GatedBench) -> None:
    bench.approved()
    bench.complete()


@pytest.fixture
def bench() -> GatedBench:
    bench = GatedBench()
    paid(bench)
    return bench


def payment(bench: GatedBench) -> Any:
    return bench.paypal.orders[str(bench.record().payment_intent_id)]


def made(bench: GatedBench) -> list[tuple[str, str]]:
    """Return the value and the status of every refund at PayPal."""
    return [(each["amount"]["value"], each["status"]) for each in payment(bench).refunds]


def sends(bench: GatedBench) -> int:
    """Return how many refund requests reached PayPal."""
    return sum(str(entry["path"]).endswith("/refund") for entry in bench.paypal.log.entries)


def break_refunds(bench: GatedBench, kind: str, **more: Any) -> None:
    bench.paypal.faults.order(FaultOrder(kind, REFUND, **more))


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (PaymentError, StoreUnavailable) as error:
        return error


def entry(bench: GatedBench, refund_id: str = "R-1") -> RefundEntry:
    kept: FollowUp = bench.record().follow_up
    [found] = [each for each in kept.refunds if each.refund_id == refund_id]
    return found


def dashboard(bench: GatedBench, value: str | None = None) -> None:
    acts.refund(bench.paypal, payment(bench).id, value)


def plan(bench: GatedBench, how: str) -> None:
    acts.plan_refunds(bench.paypal, payment(bench).id, how)


def test_refund_gives_the_amount_back_once(bench: GatedBench) -> None:
    first = bench.refund("R-1", 500)
    assert (first.amount, first.currency, first.status) == (500, "usd", "succeeded")
    assert (first.amount_refunded, first.replayed) == (500, False)
    again = bench.refund("R-1", 500)
    assert (again.stripe_refund_id, again.replayed) == (first.stripe_refund_id, True)
    assert (made(bench), sends(bench)) == ([("5.00", "COMPLETED")], 1)
    assert bench.record().payment_status == "succeeded"
    assert bench.refunds() == []


def test_refund_without_amount_gives_back_what_is_left(bench: GatedBench) -> None:
    bench.refund("R-1", 500)
    rest = bench.refund("R-2")
    assert (rest.amount, rest.amount_refunded) == (599, 1099)
    assert bench.refund("R-2").replayed
    assert payment(bench).captures[-1]["status"] == "REFUNDED"
    with pytest.raises(BadRequest) as raised:
        bench.refund("R-3")
    assert raised.value.code == "amount_too_large"


def test_more_than_is_left_is_never_sent(bench: GatedBench) -> None:
    bench.refund("R-1", 500)
    with pytest.raises(BadRequest) as raised:
        bench.refund("R-2", 600)
    assert (raised.value.code, sends(bench)) == ("amount_too_large", 1)


def test_refund_carries_the_order_and_its_own_name(bench: GatedBench) -> None:
    bench.refund("R 1,ü", 500)
    [refund] = payment(bench).refunds
    assert refund["custom_id"] == "A-1,R_201_2C_C3_BC"
    assert bench.refund("R 1,ü", 500).replayed


def test_metadata_cannot_be_kept_and_nothing_is_sent(bench: GatedBench) -> None:
    with pytest.raises(BadRequest) as raised:
        bench.refund("R-1", 500, metadata={"cart": "7"})
    assert raised.value.param == "metadata"
    assert bench.refund("R-1", 500, reason="duplicate").amount == 500
    assert sends(bench) == 1


def test_too_long_refund_id_is_not_sent(bench: GatedBench) -> None:
    with pytest.raises(BadRequest) as raised:
        bench.refund("R" * 127, 500)
    assert (raised.value.param, sends(bench)) == ("refund_id", 0)
    assert bench.refund("R" * 126, 500).amount == 500
    assert bench.refund("R" * 126, 500).replayed


def test_operator_may_refund_what_is_left(bench: GatedBench) -> None:
    facts = bench.context.gated["paypal"].facts
    assert list(details_of(bench.record(), bench.now, facts).actions) == ["resolve", "refund"]
    bench.refund("R-1", 500)
    assert details_of(bench.record(), bench.now, facts).left == 599
    bench.refund("R-2")
    assert list(details_of(bench.record(), bench.now, facts).actions) == ["resolve"]


def test_resolve_by_hand_records_the_dashboards_refund(bench: GatedBench) -> None:
    dashboard(bench, "3.00")
    ByHand(bench.orders, "eve").resolve(OrderRequest(order_id="A-1"))
    assert bench.record().follow_up.refunded == 300


def test_same_refund_with_other_parameters_is_rejected(bench: GatedBench) -> None:
    bench.refund("R-1", 500)
    with pytest.raises(RefundReused):
        bench.refund("R-1", 501)


@pytest.mark.parametrize("status", ["given out", "approved"])
def test_unpaid_order_is_not_refunded(status: str) -> None:
    bench = GatedBench()
    bench.approved() if status == "approved" else bench.given_out()
    with pytest.raises(NotPaid):
        bench.refund()
    assert sends(bench) == 0


def test_pending_capture_is_not_refunded() -> None:
    bench = GatedBench()
    bench.approved("PENDING")
    bench.complete()
    with pytest.raises(NotPaid) as raised:
        bench.refund()
    assert raised.value.facts == {"status": "processing"}


@pytest.mark.parametrize("hours", [0, 1, 25, 24 * 46])
@pytest.mark.parametrize("kind", [*LOST, *ERRORS, *REJECTED])
def test_failed_refund_happens_once_after_all(bench: GatedBench, kind: str, hours: int) -> None:
    break_refunds(bench, kind, count=None)
    first = outcome(lambda: bench.refund("R-1", 500))
    bench.paypal.faults.clear()
    bench.now += hours * HOUR
    again = bench.refund("R-1", 500)
    assert isinstance(first, PaymentError) or first.stripe_refund_id == again.stripe_refund_id
    assert made(bench) == [("5.00", "COMPLETED")]
    bench.now += 46 * DAY
    assert bench.refund("R-1", 500).stripe_refund_id == again.stripe_refund_id
    assert (again.amount_refunded, made(bench)) == (500, [("5.00", "COMPLETED")])


@pytest.mark.parametrize("kind", LOST)
def test_unknown_refund_is_looked_for_before_it_is_sent_again(bench: GatedBench, kind: str) -> None:
    break_refunds(bench, kind, count=None)
    assert isinstance(outcome(lambda: bench.refund("R-1", 500)), PaymentError)
    bench.paypal.faults.clear()
    sent, exists = sends(bench), bool(made(bench))
    assert bench.refund("R-1", 500).replayed is exists
    assert sends(bench) == sent + (not exists)


def test_500s_never_spend_the_request_id(bench: GatedBench) -> None:
    for _ in range(3):
        break_refunds(bench, "error_500_without_object", count=None)
        with pytest.raises(GatewayFailed):
            bench.refund("R-1", 500)
        bench.paypal.faults.clear()
        assert (entry(bench).generation, entry(bench).spent) == (1, False)
        bench.now += DAY
    assert bench.refund("R-1", 500).amount == 500
    ids = {each["request_id"] for each in bench.paypal.log.entries if "refund" in each["path"]}
    assert len(ids) == 1


def test_request_id_is_resent_for_45_days(bench: GatedBench) -> None:
    break_refunds(bench, "lost_before", count=None)
    outcome(lambda: bench.refund("R-1", 500))
    bench.paypal.faults.clear()
    bench.now += 44 * DAY
    bench.refund("R-1", 500)
    assert bench.history("refund taken over")


@pytest.mark.parametrize("issue", sorted(set(REFUND_ISSUES) - {"PAYEE_ACCOUNT_RESTRICTED"}))
def test_rejection_is_final_until_it_is_sent_again(bench: GatedBench, issue: str) -> None:
    plan(bench, issue)
    with pytest.raises(Refused) as raised:
        bench.refund("R-1", 500)
    left = issue in ("CAPTURE_FULLY_REFUNDED", "REFUND_AMOUNT_EXCEEDED")
    assert raised.value.code == ("amount_too_large" if left else issue)
    assert entry(bench).state == "rejected"
    plan(bench, "COMPLETED")
    assert bench.refund("R-2", 1099).amount == 1099
    with pytest.raises(BadRequest):
        bench.refund("R-1", 500)


def test_account_that_may_not_refund_needs_an_operator(bench: GatedBench) -> None:
    plan(bench, "PAYEE_ACCOUNT_RESTRICTED")
    with pytest.raises(Misconfigured):
        bench.refund("R-1", 500)
    plan(bench, "COMPLETED")
    assert bench.refund("R-1", 500).amount == 500


def test_rejection_of_a_resend_says_nothing_about_the_first_send(bench: GatedBench) -> None:
    break_refunds(bench, "lost_before", count=None)
    outcome(lambda: bench.refund("R-1", 1000))
    bench.paypal.faults.clear()
    plan(bench, "REFUND_NOT_ALLOWED")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 1000)
    plan(bench, "COMPLETED")
    with pytest.raises(BadRequest):
        bench.refund("R-2", 100)
    bench.now += 2 * HOUR
    assert bench.refund("R-1", 1000).amount == 1000
    assert made(bench) == [("10.00", "COMPLETED")]


@pytest.mark.parametrize(
    ("at_paypal", "status"),
    [("COMPLETED", "succeeded"), ("FAILED", "failed"), ("CANCELLED", "canceled")],
)
def test_pending_refund_ends_later(bench: GatedBench, at_paypal: str, status: str) -> None:
    plan(bench, "PENDING")
    assert bench.refund("R-1", 500).status == "pending"
    acts.change_refund(bench.paypal, payment(bench).id, at_paypal)
    assert bench.apply_paypal(bench.paypal_events()[-1]) == "applied"
    assert entry(bench).status == status
    answer = bench.refund("R-1", 500)
    assert (answer.status, answer.amount_refunded) == (status, 500 * (status == "succeeded"))
    assert sends(bench) == 1
    shown = bench.deliver_all()
    assert shown[-1] == ("order.refunded" if status == "succeeded" else "order.refund_failed")


def test_pending_refund_is_settled_by_reconcile(bench: GatedBench) -> None:
    plan(bench, "PENDING")
    bench.refund("R-1", 500)
    bench.now += 30 * DAY
    acts.change_refund(bench.paypal, payment(bench).id, "COMPLETED")
    assert bench.reconcile(days=1)["money_noted"] == 1
    assert entry(bench).status == "succeeded"


# Refunds of the dashboard.


def test_refund_counts_what_the_dashboard_refunded(bench: GatedBench) -> None:
    dashboard(bench, "10.00")
    with pytest.raises(BadRequest):
        bench.refund("R-1", 100)
    rest = bench.refund("R-2")
    assert (rest.amount, rest.amount_refunded) == (99, 1099)


def test_event_of_a_dashboards_refund_is_recorded(bench: GatedBench) -> None:
    dashboard(bench, "3.00")
    event = bench.paypal_events()[-1]
    assert event["event_type"] == "PAYMENT.CAPTURE.REFUNDED"
    assert bench.apply_paypal(event) == "applied"
    assert bench.apply_paypal(event) == "duplicate"
    status = bench.orders.status(OrderRequest(order_id="A-1"))
    assert (status.amount_refunded, status.status) == (300, "succeeded")
    assert [each["refund_id"] for each in status.refunds] == [None]
    assert bench.deliver_all()[-1] == "order.refunded"


@pytest.mark.parametrize("look", ["reconcile", "refresh"])
def test_dashboards_refund_is_found_without_its_event(bench: GatedBench, look: str) -> None:
    dashboard(bench)
    if look == "reconcile":
        assert bench.reconcile(dry_run=True)["money_noted"] == 1
        assert bench.record().follow_up.refunded == 0
        assert bench.reconcile()["money_noted"] == 1
        assert "money_noted" not in bench.reconcile()
    else:
        bench.orders.status(OrderRequest(order_id="A-1"), refresh=True)
    assert bench.record().follow_up.refunded == 1099


def test_reconcile_reads_no_old_payment_whose_money_is_settled(bench: GatedBench) -> None:
    bench.refund("R-1", 500)
    bench.now += 30 * DAY
    before = len(bench.paypal.log.entries)
    bench.reconcile(days=1)
    assert len(bench.paypal.log.entries) == before


def test_event_of_our_refund_changes_nothing(bench: GatedBench) -> None:
    bench.refund("R-1", 500)
    assert bench.apply_paypal(bench.paypal_events()[-1]) == "applied"
    assert [each.refund_id for each in bench.record().follow_up.refunds] == ["R-1"]
    assert bench.deliver_all().count("order.refunded") == 1


def test_event_that_names_the_payment_brings_back_order_and_refund(bench: GatedBench) -> None:
    payment_id = payment(bench).id
    bench.refund("R-1", 500)
    event = bench.paypal_events()[-1]
    related = {"supplementary_data": {"related_ids": {"order_id": payment_id}}}
    bench.lose()
    assert bench.apply_paypal({**event, "resource": {**event["resource"], **related}}) == "applied"
    assert (bench.status(), bench.record().follow_up.refunded) == ("succeeded", 500)
    assert bench.refund("R-1", 500).replayed


def test_event_of_a_lost_order_that_names_no_payment_is_not_ours(bench: GatedBench) -> None:
    dashboard(bench)
    bench.lose()
    assert bench.apply_paypal(bench.paypal_events()[-1]) == "not_ours"


# Lost records and unreadable answers.


def test_refund_of_a_lost_entry_is_recognised(bench: GatedBench) -> None:
    made_before = bench.refund("R-1", 500)
    bench.lose()
    captured = [each for each in bench.paypal_events() if each["event_type"].endswith("COMPLETED")]
    assert bench.apply_paypal(captured[-1]) == "adopted"
    again = bench.refund("R-1", 500)
    assert (again.stripe_refund_id, again.replayed) == (made_before.stripe_refund_id, True)
    assert len(made(bench)) == 1


def test_lost_order_is_not_refunded_before_an_event_brings_it_back(bench: GatedBench) -> None:
    bench.lose()
    with pytest.raises(NotFound):
        bench.refund("R-1", 500)
    assert sends(bench) == 0


def test_unreadable_list_sends_nothing(bench: GatedBench) -> None:
    bench.break_reads("html")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    assert sends(bench) == 0


def test_refunded_payment_without_its_refunds_is_unreadable(bench: GatedBench) -> None:
    acts.change_capture(bench.paypal, payment(bench).id, "REFUNDED")
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)
    assert sends(bench) == 0


def test_answer_with_only_an_id_is_completed_from_the_order(bench: GatedBench) -> None:
    bench.paypal.rules = dataclasses.replace(bench.paypal.rules, minimal_refunds=True)
    assert bench.refund("R-1", 500).amount == 500
    assert (sends(bench), entry(bench).status) == (1, "succeeded")


def test_order_that_paypal_forgot_is_not_refunded(bench: GatedBench) -> None:
    bench.paypal.orders.clear()
    with pytest.raises(GatewayFailed):
        bench.refund("R-1", 500)


STEPS = GatedBench.steps_of(lambda bench: bench.refund("R-1", 500), paid)


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_refund_survives_a_crash_at_every_step(bench: GatedBench, step: int) -> None:
    bench.crash(step, partial(bench.refund, "R-1", 500))
    bench.now += 200
    answer = bench.refund("R-1", 500)
    assert (made(bench), answer.amount_refunded) == ([("5.00", "COMPLETED")], 500)
    assert [each.state for each in bench.record().follow_up.refunds] == ["made"]


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_second_request_meanwhile_makes_no_second_refund(bench: GatedBench, step: int) -> None:
    results: list[Any] = []

    def ask() -> None:
        results.append(outcome(lambda: bench.refund("R-1", 500)))

    with bench.meanwhile(step, ask):
        ask()
    bench.now += 200
    results.append(bench.refund("R-1", 500))
    assert made(bench) == [("5.00", "COMPLETED")]
    for each in results:
        assert isinstance(each, InFlight | GatewayFailed) or each.amount_refunded == 500


def test_unknown_rejection_is_not_told_as_a_final_one(bench: GatedBench) -> None:
    """Told as final, the shop would ask for another refund, and this one may still arrive."""
    payment(bench).refund_plan = "DUPLICATE_INVOICE_ID"
    for _ in range(2):
        assert isinstance(outcome(lambda: bench.refund("R-1", 500)), GatewayFailed)
        assert entry(bench).state == "pending"
    payment(bench).refund_plan = "COMPLETED"
    assert bench.refund("R-1", 500).amount == 500
    assert made(bench) == [("5.00", "COMPLETED")]


def test_refund_of_a_payment_that_only_paypal_shows_is_told_after_the_payment() -> None:
    bench = GatedBench()
    bench.capture_named(bench.approved())
    assert bench.status() == "requires_action"
    assert bench.refund("R-1", 400).amount_refunded == 400
    assert bench.status() == "succeeded"
    assert bench.deliver_all() == ["order.paid", "order.refunded"]


def test_refund_of_an_unpaid_order_at_paypal_says_so() -> None:
    bench = GatedBench()
    bench.given_out()
    with pytest.raises(NotPaid) as raised:
        bench.refund()
    assert raised.value.facts == {"status": "requires_action"}
