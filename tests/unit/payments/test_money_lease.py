"""The leases of refunds and captures: renewed at work, taken over from the dead, fenced."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from payment_service.errors import GatewayFailed, InFlight
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.facts import LATEST_ARRIVAL_SECONDS
from payment_service.payments.after_payment.entry_lease import EntryLease
from payment_service.payments.changes.status import status_of
from payment_service.payments.record.transitions import CLOCK_MARGIN_SECONDS, LEASE_SECONDS
from sandbox.faults import FaultOrder, Match
from tests.support.after_bench import AfterBench

# One poll, and the look that follows.
MOMENT_SECONDS = 0.6


class Money:
    """A refund or a capture of 500 in a new scene."""

    def __init__(self, kind: str) -> None:
        self.kind, self.bench = kind, AfterBench()
        if kind == "refund":
            self.bench.paid()
        else:
            self.bench.authorized()

    def ask(self) -> Any:
        ask = {
            "refund": lambda: self.bench.refund("R-1", 500),
            "capture": lambda: self.bench.capture(500),
        }
        return ask[self.kind]()

    def entry(self) -> Any:
        kept = self.bench.record().follow_up
        return next(iter(kept.refunds), None) if self.kind == "refund" else kept.capture

    def moved(self) -> list[int]:
        """Return the amounts that Stripe refunded or captured."""
        if self.kind == "refund":
            return [each["amount"] for each in self.bench.refunds()]
        return [each["amount_received"] for each in self.bench.made() if each["amount_received"]]

    def sends(self) -> int:
        """Return how many refunds or captures Stripe received."""
        counts = self.bench.sandbox.log.shown_counts()
        last = {"refund": "/v1/refunds ", "capture": "/capture "}[self.kind]
        return sum(n for name, n in counts.items() if name.startswith("POST") and last in name)

    def break_sends(self, kind: str, **more: Any) -> None:
        path = {"refund": "/v1/refunds$", "capture": "/capture$"}[self.kind]
        self.bench.sandbox.faults.order(FaultOrder(kind, Match(method="POST", path=path), **more))

    def claim_step(self) -> int:
        """Return the step after which the claim is stored, found with a copy of the scene."""
        for step in range(40):
            copy = Money(self.kind)
            copy.bench.crashing(step, copy.ask)
            if copy.entry():
                assert (copy.moved(), copy.bench.names[-1]) == ([], "stored")
                return step
        raise AssertionError("no step lies between the claim and the send")

    def die_after_claim(self) -> None:
        """An owner stores its claim and dies before it sends."""
        self.bench.crash(self.claim_step(), self.ask)

    def during_the_send(self, other: Callable[[], object]) -> AbstractContextManager[None]:
        """Call `other` after Stripe has executed the next request's send, before its answer."""
        return self.bench.meanwhile(self.claim_step() + 2, other)

    def before_the_send(self, other: Callable[[], object]) -> AbstractContextManager[None]:
        return self.bench.meanwhile(self.claim_step() + 1, other)

    def work(self, seconds: float) -> None:
        """Let the owner's process work for so long: it renews each lease that is due."""
        for _ in range(round(seconds * 10)):
            self.bench.now += 0.1
            self.bench.context.leases.renew_due()


@pytest.fixture(params=["refund", "capture"])
def money(request: pytest.FixtureRequest) -> Money:
    return Money(request.param)


def test_next_request_takes_over_from_a_dead_owner_within_a_lease(money: Money) -> None:
    money.die_after_claim()
    began = money.bench.now
    money.ask()
    assert LEASE_SECONDS <= money.bench.now - began < LEASE_SECONDS + MOMENT_SECONDS
    assert (money.moved(), money.sends()) == ([500], 1)


def test_slow_send_keeps_its_lease(money: Money) -> None:
    """It takes longer than a lease, and another request meets it all the time."""
    held: list[float] = []

    def slow() -> None:
        for _ in range(12):
            money.work(1.0)
            held.append(money.entry().until - money.bench.now)

    with money.during_the_send(slow):
        money.ask()
    assert min(held) > 0
    assert (money.moved(), money.sends()) == ([500], 1)


def test_lease_of_a_hanging_send_ends_with_its_budget(money: Money) -> None:
    """Another request may then take over; the hanging one changes nothing any more."""
    with money.during_the_send(lambda: money.work(30.0)):
        money.ask()
    assert money.moved() == [500]
    assert money.entry().until < money.bench.now


def test_owner_that_has_seen_another_one_holds_no_lease() -> None:
    """Rule 28: nothing more is sent after a renewal that found another owner."""
    now = 100.0
    bench = AfterBench()
    bench.paid()
    lease = EntryLease(
        bench.context,
        Deadline(130.0, lambda: now),
        bench.record(),
        lambda *_: None,
        until=bench.now + LEASE_SECONDS,
        leased_at=now,
    )
    assert lease.holds()
    lease.renew()
    assert not lease.holds()


def test_owner_that_was_paused_before_its_send_sends_nothing(money: Money) -> None:
    step = money.claim_step()

    def pause() -> None:
        money.bench.now += LEASE_SECONDS

    with money.bench.meanwhile(step, pause), pytest.raises(InFlight):
        money.ask()
    assert money.sends() == 0
    money.ask()
    assert (money.moved(), money.sends()) == ([500], 1)


def test_owner_that_was_paused_in_its_send_gets_what_the_next_one_made(money: Money) -> None:
    answers: list[Any] = []

    def taken_over() -> None:
        money.bench.now += LEASE_SECONDS
        answers.append(money.ask())

    with money.before_the_send(taken_over):
        answers.append(money.ask())
    assert (money.moved(), money.sends()) == ([500], 2)
    if money.kind == "refund":
        assert len({each.stripe_refund_id for each in answers}) == 1


def test_rejection_of_a_late_owner_ends_nothing() -> None:
    """A dispute forbade its refund, and was won before the next owner sent."""
    money = Money("refund")
    intent_id = money.bench.payable()[0]
    opened = money.bench.dispute(intent_id, amount=100)

    def taken_over() -> None:
        money.bench.dispute_ends(opened["id"], "win")
        money.bench.now += LEASE_SECONDS
        money.ask()

    with money.during_the_send(taken_over):
        assert money.ask().amount_refunded == 500
    assert (money.moved(), money.entry().state) == ([500], "made")


def test_key_after_a_take_over_waits_for_the_first_owner_too() -> None:
    """The next owner ended within seconds, but the first may send until its budget ends."""
    money = Money("refund")
    money.die_after_claim()
    claimed = money.entry()
    money.break_sends("error_500_without_object")
    with pytest.raises(GatewayFailed):
        money.ask()
    released = money.entry()
    assert (released.spent, released.owner) == (True, "")
    assert released.sent_until >= claimed.sent_until > money.bench.now + 20
    money.bench.now = released.sent_until + LATEST_ARRIVAL_SECONDS - 1
    with pytest.raises(GatewayFailed):
        money.ask()
    money.bench.now += 1
    assert money.ask().amount_refunded == 500
    assert money.moved() == [500]


def test_reconciler_closes_a_capture_an_hour_after_its_owner_could_send() -> None:
    money = Money("capture")
    money.die_after_claim()
    lost_at, lock = money.entry().until, money.bench.context.timing.lock
    money.bench.now = lost_at + lock + LATEST_ARRIVAL_SECONDS - 1
    money.bench.reconcile()
    assert money.entry().state == "pending"
    money.bench.now += 1
    money.bench.reconcile()
    assert money.entry().state == "rejected"


def test_status_says_in_flight_while_the_owner_may_work() -> None:
    """For the lease, and for the margin between the clocks of two machines."""
    money = Money("refund")
    money.die_after_claim()

    def shown() -> Any:
        return status_of(money.bench.record(), money.bench.now).refunds[0]["status"]

    assert shown() == "in_flight"
    money.bench.now += LEASE_SECONDS + CLOCK_MARGIN_SECONDS
    assert shown() == "unknown"
    began = money.bench.now
    money.ask()
    assert money.bench.now == began
