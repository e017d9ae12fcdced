"""Orders that change their gateway: each row of the table in docs/exactly-once.md, and rule 16."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.errors import (
    BadRequest,
    GatewayFailed,
    GatewayNotAccepted,
    GatewayUnreachable,
    InFlight,
    Misconfigured,
    OrderReused,
    RateLimited,
    Refused,
)
from payment_service.gateways.deadline import Deadline
from payment_service.payments.creation.create import create_once
from payment_service.payments.creation.switching import MAX_LEFTOVERS
from payment_service.payments.record import transitions
from sandbox.faults import FaultOrder
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.switch_bench import AFTER_SECONDS, ANY, PAYPAL_ONLY, STRIPE_ONLY, TwoGateways

SILENCE = ["lost_before", "lost_after", "cut_body", "error_503", "rate_limited"]


@pytest.fixture
def bench() -> TwoGateways:
    return TwoGateways()


def switched(bench: TwoGateways) -> str:
    """Have an order pass over to PayPal; return its id there."""
    bench.silence_stripe()
    created = bench.ask()
    assert created.gateway == "paypal"
    bench.heal_stripe()
    return created.intent.id


# No record.


def test_new_order_begins_at_stripe(bench: TwoGateways) -> None:
    created = bench.ask()
    assert (created.gateway, bench.at_paypal) == ("stripe", [])
    assert bench.record().follow_up.leftovers == ()


def test_open_circuit_begins_at_paypal_without_a_leftover(bench: TwoGateways) -> None:
    bench.open_circuit()
    created = bench.ask()
    assert created.gateway == "paypal"
    assert created.intent.redirect_url
    assert (bench.stripe_sends(), bench.leftovers()) == (0, [])
    assert bench.record().attempt == 1


def test_open_circuit_does_not_concern_a_request_for_stripe_only(bench: TwoGateways) -> None:
    bench.open_circuit()
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))
    assert created.gateway == "stripe"


def test_request_for_paypal_only_begins_at_paypal(bench: TwoGateways) -> None:
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=PAYPAL_ONLY))
    assert (created.gateway, bench.stripe_sends()) == ("paypal", 0)


@pytest.mark.parametrize("without", ["failover", "params"])
def test_request_that_no_gateway_can_take_is_rejected(bench: TwoGateways, without: str) -> None:
    wanted = bench.wanted(accepts=PAYPAL_ONLY)
    if without == "failover":
        bench.context = replace(bench.context, failover=None)
    else:
        wanted = replace(wanted, alternatives=())
    with pytest.raises(BadRequest) as wrong:
        bench.ask_within(BUDGET_SECONDS, wanted)
    assert wrong.value.param == "accept_gateways"
    assert bench.record() is None


# Pending, ours, sent: the gateway's fault.


@pytest.mark.parametrize("kind", [*SILENCE, "key_in_use", "unauthorized", "forbidden"])
def test_gateways_fault_passes_the_order_over(bench: TwoGateways, kind: str) -> None:
    bench.silence_stripe(kind)
    created = bench.ask()
    assert (created.gateway, created.replayed) == ("paypal", False)
    record = bench.record()
    assert (record.attempt, record.state) == (2, "created")
    assert record.payment_intent_id == created.intent.id
    assert record.sent.gateway == "paypal"
    assert bench.leftovers() == [("stripe", 1)]
    (entry,) = bench.history("switched")
    assert (entry["from"], entry["to"], entry["attempt"]) == ("stripe", "paypal", 2)
    assert "switched" in bench.whats()


@pytest.mark.parametrize("kind", ["error_500_with_object", "error_500_without_object"])
def test_second_saved_500_passes_the_order_over(bench: TwoGateways, kind: str) -> None:
    """The first one is recovered from by a look-up, as with one gateway."""
    bench.break_creation("error_500_without_object", should_retry=False, count=1)
    bench.break_creation("error_500_without_object", should_retry=False, count=None)
    created = bench.ask()
    assert created.gateway == "paypal"
    assert bench.leftovers() == [("stripe", 2)]
    assert bench.record().attempt == 3
    (left,) = bench.record().follow_up.leftovers
    assert left.since < bench.record().first_sent_at


def test_saved_500_with_its_object_stays_at_stripe(bench: TwoGateways) -> None:
    bench.break_creation("error_500_with_object", should_retry=False)
    assert bench.ask().gateway == "stripe"


@pytest.mark.parametrize("kind", ["unauthorized", "forbidden"])
def test_refused_account_raises_an_alarm(bench: TwoGateways, kind: str) -> None:
    bench.silence_stripe(kind)
    bench.ask()
    assert "account_refused" in bench.whats()


def test_first_gateway_gets_its_share_only(bench: TwoGateways) -> None:
    bench.send_seconds = 5.0
    bench.silence_stripe("error_503")
    began = bench.now
    assert bench.ask().gateway == "paypal"
    assert bench.now - began <= AFTER_SECONDS + 5.0


def test_share_is_the_whole_budget_without_an_alternative(bench: TwoGateways) -> None:
    bench.send_seconds = 5.0
    bench.silence_stripe("error_503")
    began = bench.now
    with pytest.raises(GatewayFailed):
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))
    assert bench.now - began > AFTER_SECONDS + 5.0


def test_request_without_time_for_a_switch_releases_the_order(bench: TwoGateways) -> None:
    bench.silence_stripe()
    with pytest.raises(GatewayUnreachable):
        bench.ask_within(4.5)
    record = bench.record()
    assert (record.owner, record.sent.gateway) == ("", "stripe")


@pytest.mark.parametrize(
    "change", [{"alternatives": ()}, {"accepts": STRIPE_ONLY}], ids=["unsuited", "not accepted"]
)
def test_order_that_cannot_switch_fails_as_before(bench: TwoGateways, change: Any) -> None:
    bench.silence_stripe()
    with pytest.raises(GatewayUnreachable):
        bench.ask_within(BUDGET_SECONDS, replace(bench.wanted(), **change))
    assert bench.record().sent.gateway == "stripe"
    assert bench.at_paypal == []


def test_order_stays_at_stripe_with_failover_off(bench: TwoGateways) -> None:
    bench.context = replace(bench.context, failover=None)
    bench.silence_stripe()
    with pytest.raises(GatewayUnreachable):
        bench.ask()
    bench.heal_stripe()
    assert bench.ask().gateway == "stripe"


# Pending, taken over.


def test_released_order_is_passed_over_by_the_next_request(bench: TwoGateways) -> None:
    bench.silence_stripe()
    with pytest.raises(GatewayUnreachable):
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))
    assert bench.ask().gateway == "paypal"
    assert bench.leftovers() == [("stripe", 1)]


def test_order_of_a_dead_owner_is_passed_over(bench: TwoGateways) -> None:
    mine = transitions.first_claim(bench.wanted(), bench.context.lease())
    bench.records.claim(mine)
    bench.silence_stripe()
    assert bench.ask().gateway == "paypal"


def test_open_circuit_passes_over_without_a_send(bench: TwoGateways) -> None:
    bench.silence_stripe("lost_after")
    with pytest.raises(GatewayUnreachable):
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))
    sends = bench.stripe_sends()
    bench.open_circuit()
    assert bench.ask().gateway == "paypal"
    assert (bench.stripe_sends(), bench.leftovers()) == (sends, [("stripe", 1)])
    assert bench.history("switched")[0]["why"] == "circuit_open"


def test_order_of_a_living_owner_is_waited_for(bench: TwoGateways) -> None:
    """An order in another process's lease is never passed over."""
    mine = transitions.first_claim(bench.wanted(), bench.context.lease())
    bench.records.claim(mine)
    held = mine

    def renew(_: float) -> None:
        nonlocal held
        renewed = transitions.renewed(held, bench.now)
        assert bench.records.replace(held, renewed)
        held = renewed

    bench.on_sleep = renew
    bench.open_circuit()
    with pytest.raises(InFlight):
        bench.ask()
    assert bench.at_paypal == []


# Pending, a definitive no.


def test_definitive_rejection_is_the_clients_answer(bench: TwoGateways) -> None:
    wrong = replace(bench.wanted(), sent=replace_params(bench, amount=1))
    with pytest.raises(Refused):
        bench.ask_within(BUDGET_SECONDS, wrong)
    assert bench.record().state == "rejected"
    assert bench.at_paypal == []


def replace_params(bench: TwoGateways, **params: Any) -> Any:
    sent = bench.wanted().sent
    return type(sent)(sent.api_version, {**sent.params, **params})


# Created at Stripe.


def test_given_out_and_silent_is_never_passed_over(bench: TwoGateways) -> None:
    made = bench.ask().intent.id
    bench.silence_stripe()
    for _ in range(3):
        with pytest.raises(GatewayUnreachable):
            bench.ask()
    bench.open_circuit()
    with pytest.raises(GatewayUnreachable):
        bench.ask()
    assert bench.record().payment_intent_id == made
    assert bench.at_paypal == []


def test_paid_order_is_never_passed_over(bench: TwoGateways) -> None:
    made = bench.ask().intent.id
    bench.act(made, "confirm")
    bench.open_circuit()
    created = bench.ask()
    assert (created.intent.id, created.intent.status) == (made, "succeeded")


def test_canceled_order_begins_again_where_health_prefers(bench: TwoGateways) -> None:
    bench.act(bench.ask().intent.id, "cancel")
    bench.open_circuit()
    assert bench.ask().gateway == "paypal"
    assert (bench.record().attempt, bench.leftovers()) == (2, [])


@pytest.mark.parametrize("amount", [1099, 2000])
def test_order_that_is_recorded_as_canceled_needs_no_answer_of_stripe(
    bench: TwoGateways, amount: int
) -> None:
    bench.act(bench.ask().intent.id, "cancel")
    held = bench.record()
    canceled = replace(held, payment_status="canceled", version=held.version + 1)
    assert bench.records.replace(held, canceled)
    bench.silence_stripe()
    assert bench.ask(amount=amount).gateway == "paypal"


def test_canceled_order_begins_again_at_a_healthy_stripe(bench: TwoGateways) -> None:
    bench.act(bench.ask().intent.id, "cancel")
    assert bench.ask().gateway == "stripe"


@pytest.mark.parametrize("silent", [False, True])
def test_order_at_stripe_is_not_given_to_a_request_for_paypal(
    bench: TwoGateways, *, silent: bool
) -> None:
    bench.ask()
    if silent:
        bench.silence_stripe()
    with pytest.raises(GatewayNotAccepted) as wrong:
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=PAYPAL_ONLY))
    assert wrong.value.facts == {"gateway": "stripe"}


def test_canceled_order_at_stripe_begins_at_paypal_if_asked_for(bench: TwoGateways) -> None:
    bench.act(bench.ask().intent.id, "cancel")
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=PAYPAL_ONLY))
    assert created.gateway == "paypal"


# Created at PayPal.


@pytest.mark.parametrize("healthy", [True, False])
def test_given_out_at_paypal_stays_there(bench: TwoGateways, *, healthy: bool) -> None:
    """There is no automatic way back (rule 20)."""
    made = switched(bench)
    if not healthy:
        bench.open_circuit()
    created = bench.ask()
    assert (created.intent.id, created.replayed, created.gateway) == (made, True, "paypal")
    assert created.intent.redirect_url


def test_order_at_paypal_is_not_given_to_a_request_for_stripe(bench: TwoGateways) -> None:
    made = switched(bench)
    bench.approve(made)
    with pytest.raises(GatewayNotAccepted) as wrong:
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))
    assert wrong.value.facts == {"gateway": "paypal"}
    assert bench.captured() == []


def test_silent_paypal_is_no_reason_to_go_back(bench: TwoGateways) -> None:
    made = switched(bench)
    bench.paypal.faults.order(FaultOrder("lost_before", ANY, count=None))
    for accepts, error in ((PAYPAL_ONLY, GatewayUnreachable), (STRIPE_ONLY, GatewayNotAccepted)):
        with pytest.raises(error):
            bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=accepts))
    assert bench.record().payment_intent_id == made


def test_approved_order_is_completed_by_the_same_request(bench: TwoGateways) -> None:
    made = switched(bench)
    bench.approve(made)
    created = bench.ask()
    assert (created.intent.id, created.intent.status) == (made, "succeeded")
    assert bench.captured() == [made]


def test_approved_order_of_another_price_is_not_captured(bench: TwoGateways) -> None:
    made = switched(bench)
    bench.approve(made)
    with pytest.raises(OrderReused):
        bench.ask(amount=2000)
    assert bench.captured() == []


def test_ended_order_at_paypal_begins_again(bench: TwoGateways) -> None:
    made = switched(bench)
    bench.now += 7 * 3600
    created = bench.ask()
    assert created.gateway == "stripe"
    assert bench.record().attempt == 3
    assert made != created.intent.id


# Rejected.


def test_order_rejected_at_stripe_is_asked_again_there(bench: TwoGateways) -> None:
    wrong = replace(bench.wanted(), sent=replace_params(bench, amount=1))
    with pytest.raises(Refused):
        bench.ask_within(BUDGET_SECONDS, wrong)
    assert bench.ask().gateway == "stripe"


def test_order_rejected_at_stripe_can_begin_at_paypal(bench: TwoGateways) -> None:
    wrong = replace(bench.wanted(), sent=replace_params(bench, amount=1))
    with pytest.raises(Refused):
        bench.ask_within(BUDGET_SECONDS, wrong)
    created = bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=PAYPAL_ONLY))
    assert (created.gateway, bench.leftovers()) == ("paypal", [])


# Bounds.


def test_flapping_outage_leaves_ten_leftovers_at_most(bench: TwoGateways) -> None:
    bench.silence_stripe()
    bench.break_paypal("lost_before")
    for _ in range(MAX_LEFTOVERS + 3):
        with pytest.raises(GatewayFailed):
            bench.ask()
    assert len(bench.leftovers()) == MAX_LEFTOVERS
    assert bench.record().sent.gateway == "stripe"
    bench.heal_stripe()
    created = bench.ask()
    assert created.gateway == "stripe"
    assert bench.payable() == [created.intent.id]


def test_request_switches_once(bench: TwoGateways) -> None:
    bench.silence_stripe()
    bench.break_paypal("lost_before")
    with pytest.raises(GatewayUnreachable) as failed:
        bench.ask()
    assert failed.value.code == "stripe_unreachable"
    assert bench.leftovers() == [("stripe", 1)]
    assert (bench.record().attempt, bench.record().owner) == (2, "")


def test_probe_closes_the_circuit(bench: TwoGateways) -> None:
    bench.open_circuit()
    bench.now += 1.0
    assert bench.ask("A-1").gateway == "stripe"
    assert bench.ask("A-2").gateway == "stripe"
    assert bench.circuit_changes[-1] == ("stripe", "circuit_closed")


@pytest.mark.parametrize("kind", ["lost_before", "lost_after", "error_503"])
def test_repeated_silence_opens_the_circuit(bench: TwoGateways, kind: str) -> None:
    bench.silence_stripe(kind)
    bench.context.failover.circuits._monotonic = lambda: 0.0  # type: ignore[union-attr]
    for number in range(5):
        bench.ask(f"A-{number}")
    sends = bench.stripe_sends()
    bench.ask("B-1")
    assert bench.stripe_sends() == sends


@pytest.mark.parametrize("kind", ["rate_limited", "unauthorized", "key_in_use"])
def test_answers_below_500_open_no_circuit(bench: TwoGateways, kind: str) -> None:
    bench.silence_stripe(kind)
    for number in range(10):
        bench.ask(f"A-{number}")
    assert bench.circuit_changes == []


def test_rate_limit_without_a_second_gateway_is_reported(bench: TwoGateways) -> None:
    bench.silence_stripe("rate_limited")
    with pytest.raises(RateLimited):
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))


def test_account_error_without_a_second_gateway_is_reported(bench: TwoGateways) -> None:
    bench.silence_stripe("unauthorized")
    with pytest.raises(Misconfigured):
        bench.ask_within(BUDGET_SECONDS, bench.wanted(accepts=STRIPE_ONLY))


def test_switch_needs_the_time_of_a_late_takeover(bench: TwoGateways) -> None:
    """A request that waited for another owner still gives the first gateway two seconds."""
    mine = transitions.first_claim(bench.wanted(), bench.context.lease())
    bench.records.claim(mine)
    bench.silence_stripe()
    deadline = Deadline.after(30.0, lambda: bench.now)
    created = create_once(bench.context, bench.wanted(), deadline)
    assert created.gateway == "paypal"
