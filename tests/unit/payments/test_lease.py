"""The lease: renewed by an owner at work, taken over from a dead one, fenced from a late one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from payment_service.errors import GatewayUnreachable, InFlight, StoreDown
from payment_service.gateways.deadline import Deadline
from payment_service.key_store.contract import KeyRecord, StoreUnavailable
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.changes.existing_order import known_record
from payment_service.payments.changes.status import status_of
from payment_service.payments.context import Context
from payment_service.payments.creation.create import create_once
from payment_service.payments.creation.resolve import is_unknown
from payment_service.payments.creation.states import Created
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.transitions import CLOCK_MARGIN_SECONDS, LEASE_SECONDS
from sandbox.moment import Rules
from tests.support.flow_bench import KEY, FlowBench
from tests.support.sandbox_in_process import INTENTS

HOUR = 3600.0

# One poll, and the look-up that follows.
MOMENT_SECONDS = 0.5


class CountingStore(MemoryStore):
    """Counts the writes, and refuses them while `down`."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[KeyRecord] = []
        self.down = False

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        if self.down:
            raise StoreUnavailable("down")
        done = super().replace(current, new)
        if done:
            self.written.append(new)
        return done


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def bench(store: CountingStore) -> FlowBench:
    return FlowBench(store)


def killed_in_mid_call(bench: FlowBench) -> OrderRecord:
    """An owner claimed the order, sent its key, and died."""
    claim = transitions.first_claim(bench.wanted(), bench.context.lease())
    return bench.records.claim(claim)


def ask(bench: FlowBench, context: Context, seconds: float = 25.0) -> Created:
    deadline = Deadline.after(seconds, lambda: bench.now)
    return create_once(context, bench.wanted(), deadline)


def working(bench: FlowBench, seconds: float) -> None:
    """Let the owner's process work for so long: it renews each lease that is due."""
    for _ in range(round(seconds * 10)):
        bench.now += 0.1
        bench.context.leases.renew_due()


def test_next_request_takes_over_a_killed_owner_within_a_lease(bench: FlowBench) -> None:
    killed_in_mid_call(bench)
    began = bench.now
    assert bench.ask().intent.id == bench.payable()[0]
    assert LEASE_SECONDS <= bench.now - began < LEASE_SECONDS + MOMENT_SECONDS


@pytest.mark.parametrize("skew", [-HOUR, -8.0, 0.0, 8.0, CLOCK_MARGIN_SECONDS - 0.1])
def test_takeover_waits_a_lease_whatever_the_clocks_say(bench: FlowBench, skew: float) -> None:
    """The clock of the waiting machine differs from the owner's."""
    killed_in_mid_call(bench)
    began = bench.now
    ask(bench, replace(bench.another(), clock=lambda: bench.now + skew))
    assert LEASE_SECONDS <= bench.now - began < LEASE_SECONDS + MOMENT_SECONDS


def test_short_requests_take_over_together(bench: FlowBench) -> None:
    killed_in_mid_call(bench)
    began = bench.now
    answers: list[Created] = []
    while not answers:
        try:
            answers.append(bench.ask_within(5.0))
        except InFlight:
            bench.now += 0.2
    assert bench.now - began < LEASE_SECONDS + 2.0


def test_request_after_the_lease_and_the_margin_waits_for_nothing(bench: FlowBench) -> None:
    killed_in_mid_call(bench)
    bench.now += LEASE_SECONDS + CLOCK_MARGIN_SECONDS
    began = bench.now
    bench.ask()
    assert bench.now == began


def test_history_entries_do_not_prolong_a_dead_owners_lease(bench: FlowBench) -> None:
    killed_in_mid_call(bench)
    began = bench.now

    def note(_: float) -> None:
        held = bench.record()
        assert bench.records.replace(held, transitions.touched(held, bench.now, "other"))

    bench.on_sleep = note
    bench.ask()
    assert bench.now - began < LEASE_SECONDS + MOMENT_SECONDS


def test_fast_call_costs_no_renewal(bench: FlowBench, store: CountingStore) -> None:
    bench.on_answer = lambda: working(bench, transitions.RENEW_AFTER_SECONDS - 0.1)
    bench.ask()
    assert [each.state for each in store.written] == ["created"]


def test_slow_call_costs_a_write_for_each_third_of_a_lease(
    bench: FlowBench, store: CountingStore
) -> None:
    bench.on_answer = lambda: working(bench, LEASE_SECONDS)
    bench.ask()
    assert [each.state for each in store.written] == ["pending", "pending", "created"]
    assert [each["what"] for each in bench.record().follow_up.history] == ["claimed", "created"]


def test_owner_that_renews_is_not_taken_over(bench: FlowBench) -> None:
    other = bench.another()

    def meanwhile() -> None:
        bench.on_answer = lambda: None
        bench.on_sleep = lambda _: working(bench, 0.1)
        with pytest.raises(InFlight):
            ask(bench, other, 15.0)
        bench.on_sleep = lambda _: None

    bench.on_answer = meanwhile
    created = bench.ask()
    assert (bench.sends(), bench.whats().count("taken_over")) == (1, 0)
    assert bench.payable() == [created.intent.id]


def test_paused_owner_is_fenced_and_gets_the_records_answer(bench: FlowBench) -> None:
    other, answers = bench.another(), list[Created]()

    def pause() -> None:
        bench.on_answer = lambda: None
        answers.append(ask(bench, other))
        bench.context.leases.renew_due()

    bench.on_answer = pause
    late = bench.ask()
    assert late.intent.id == answers[0].intent.id
    assert "stale_owner" in bench.whats()
    assert bench.payable() == [late.intent.id]


def test_fenced_owner_without_an_answer_gets_the_records_answer(bench: FlowBench) -> None:
    """Rule 6. It must not log the order as unknown either: the order is created."""
    other, answers = bench.another(), list[Created]()

    def pause() -> None:
        bench.on_answer = lambda: None
        answers.append(ask(bench, other))
        bench.break_creation("error_503", count=None)

    bench.break_creation("error_503")
    bench.on_answer = pause
    late = bench.ask()
    assert late.intent.id == answers[0].intent.id
    assert bench.payable() == [late.intent.id]
    assert "stale_owner" in bench.whats()
    assert "unknown" not in bench.whats()


def test_renewal_keeps_what_others_wrote(bench: FlowBench) -> None:
    def meanwhile() -> None:
        held = bench.record()
        assert bench.records.replace(held, transitions.touched(held, bench.now, "other"))
        working(bench, 2.0)

    bench.on_answer = meanwhile
    bench.ask()
    whats = [each["what"] for each in bench.record().follow_up.history]
    assert whats == ["claimed", "other", "created"]


def test_hung_owner_renews_only_until_its_deadline(bench: FlowBench, store: CountingStore) -> None:
    bench.on_answer = lambda: working(bench, 60.0)
    bench.ask()
    ends = [each.locked_until for each in store.written if each.state == "pending"]
    assert max(ends) < bench.now - 60.0 + 25.0 + LEASE_SECONDS


def test_failed_renewal_is_tried_again(bench: FlowBench, store: CountingStore) -> None:
    def fail_once() -> None:
        store.down = True
        working(bench, 1.5)
        store.down = False
        working(bench, 1.5)

    bench.on_answer = fail_once
    bench.ask()
    assert [each.state for each in store.written] == ["pending", "created"]


def test_unrecorded_answer_needs_the_lease(bench: FlowBench, store: CountingStore) -> None:
    """Rule 9: renewed in time, the owner may answer; else another may have taken over."""

    def slow(*, renewed: bool) -> None:
        if renewed:
            working(bench, LEASE_SECONDS + 1)
        else:
            bench.now += LEASE_SECONDS
        store.down = True

    bench.on_answer = lambda: slow(renewed=True)
    first = bench.ask()
    assert bench.record().state == "pending"
    assert bench.payable() == [first.intent.id]
    store.down = False
    bench.on_answer = lambda: slow(renewed=False)
    with pytest.raises(StoreDown):
        bench.ask("A-2")


def test_owner_that_has_seen_another_one_does_not_answer_unrecorded(
    bench: FlowBench, store: CountingStore
) -> None:
    """Rule 9: the store lost the claim, another request claimed the order, and the store fails."""

    def taken_by_another() -> None:
        held = bench.record()
        assert bench.records.forget(held)
        theirs = transitions.first_claim(bench.wanted(amount=2000), bench.context.lease())
        bench.records.claim(replace(theirs, owner="another"))
        working(bench, 2.0)
        store.down = True

    bench.on_answer = taken_by_another
    with pytest.raises(StoreDown):
        bench.ask()


def test_unrecorded_answer_needs_a_lease_that_counts_suspended_time(
    bench: FlowBench, store: CountingStore
) -> None:
    """A monotonic clock stands still while the machine is suspended."""
    awake = bench.now

    def suspend() -> None:
        bench.now += HOUR
        store.down = True

    bench.on_answer = suspend
    with pytest.raises(StoreDown):
        create_once(bench.context, bench.wanted(), Deadline.after(25.0, lambda: awake))


@pytest.mark.parametrize("budget", [25.0, 8.5])
def test_released_order_is_taken_over_at_once(bench: FlowBench, budget: float) -> None:
    bench.break_creation("lost_before", count=3)
    with pytest.raises(GatewayUnreachable):
        bench.ask_within(budget)
    began = bench.now
    other = bench.another()
    assert is_unknown(bench.record(), bench.now - CLOCK_MARGIN_SECONDS)
    ask(bench, other)
    assert bench.now == began
    assert "waited" not in bench.whats()


def test_release_survives_a_later_history_entry(bench: FlowBench) -> None:
    bench.break_creation("lost_before", count=3)
    with pytest.raises(GatewayUnreachable):
        bench.ask()
    held = bench.record()
    assert bench.records.replace(held, transitions.touched(held, bench.now, "other"))
    began = bench.now
    bench.ask()
    assert bench.now == began


def test_operations_that_do_not_wait_go_by_the_clock_and_its_margin(bench: FlowBench) -> None:
    killed_in_mid_call(bench)
    order, deadline = bench.wanted().order, Deadline.after(25.0, lambda: bench.now)
    bench.now += LEASE_SECONDS + CLOCK_MARGIN_SECONDS - 0.1
    assert status_of(bench.record(), bench.now).status == "in_flight"
    with pytest.raises(InFlight):
        known_record(bench.context, order, deadline)
    bench.now += 0.1
    assert status_of(bench.record(), bench.now).status == "unknown"
    assert known_record(bench.context, order, deadline).state == "created"


def test_lock_of_an_earlier_release_is_taken_over_within_a_lease(bench: FlowBench) -> None:
    """It holds for 35 seconds, and its owner does not renew it. Rule 2 makes that safe."""
    old = replace(bench.context.lease(), seconds=35.0)
    bench.records.claim(transitions.first_claim(bench.wanted(), old))
    began = bench.now
    assert bench.ask().intent.id == bench.payable()[0]
    assert bench.now - began < LEASE_SECONDS + MOMENT_SECONDS


def test_look_up_after_a_takeover_covers_sends_that_outlived_the_lease(bench: FlowBench) -> None:
    """The owner may have sent until its budget ended, and Stripe executed that late."""
    held = killed_in_mid_call(bench)
    saved = replace(held, version=held.version + 1, saved_5xx=True)
    assert bench.records.replace(held, saved)
    bench.sandbox.rules = Rules(search_lag_seconds=HOUR)
    bench.now += bench.context.timing.lock + 300
    late = b"amount=1099&currency=usd&metadata[order_id]=A-1"
    assert bench.sandbox.handle("POST", INTENTS, {"authorization": KEY}, late).status == 200
    bench.now += 600
    assert [bench.ask().intent.id] == bench.payable()
    assert len(bench.made()) == 1
