"""The lease keeper: which leases it renews, and when its thread runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.record import lease_keeper
from payment_service.payments.record.lease_keeper import LeaseKeeper
from payment_service.payments.record.lease_watch import MOST_WATCHED, LeaseWatch
from tests.support.flow_bench import NOW
from tests.support.key_stores import order


class Lease:
    def __init__(self, renew_at: float, renew: Callable[[], None] = lambda: None) -> None:
        self.renew_at, self.renewals, self._renew = renew_at, 0, renew
        self.renewed, self.ended = threading.Event(), False

    def renew(self) -> None:
        self.renewals += 1
        self.renewed.set()
        self._renew()

    def end_renewals(self) -> None:
        self.ended = True


@pytest.fixture
def keeper() -> LeaseKeeper:
    return LeaseKeeper(monotonic=lambda: 100.0)


def fail(error: Exception) -> Callable[[], None]:
    def renew() -> None:
        raise error

    return renew


def test_only_due_leases_are_renewed_the_oldest_first(keeper: LeaseKeeper) -> None:
    renewed: list[int] = []
    leases = [Lease(at, lambda at=at: renewed.append(at)) for at in (99, 90, 101, 95)]  # type: ignore[misc]
    for lease in leases:
        keeper.hold(lease)
    keeper.renew_due()
    assert renewed == [90, 95, 99]


def test_dropped_lease_is_not_renewed(keeper: LeaseKeeper) -> None:
    lease = Lease(90)
    keeper.hold(lease)
    keeper.drop(lease)
    keeper.renew_due()
    assert (lease.renewals, lease.ended) == (0, True)


def test_store_that_is_down_ends_the_round(keeper: LeaseKeeper) -> None:
    """Each renewal would take as long to fail as the store's time-out is."""
    leases = [Lease(90 + i, fail(StoreUnavailable("down"))) for i in range(5)]
    for lease in leases:
        keeper.hold(lease)
    assert not keeper.renew_due()
    assert sum(lease.renewals for lease in leases) == 1


def test_bug_in_one_renewal_costs_no_other_lease(keeper: LeaseKeeper) -> None:
    leases = [Lease(90, fail(ValueError("a bug"))), Lease(91)]
    for lease in leases:
        keeper.hold(lease)
    keeper.renew_due()
    assert [lease.renewals for lease in leases] == [1, 1]


def test_many_renewals_share_the_work_of_several_threads(keeper: LeaseKeeper) -> None:
    together = threading.Barrier(4, timeout=10)

    def meet() -> None:
        together.wait()

    for _ in range(40):
        keeper.hold(Lease(90, meet))
    keeper.renew_due()


def test_process_without_threads_renews_by_itself(
    keeper: LeaseKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    leases = [Lease(90) for _ in range(40)]
    for lease in leases:
        keeper.hold(lease)
    keeper.renew_due()
    assert all(lease.renewals for lease in leases)
    LeaseKeeper(in_background=True).hold(Lease(0))


def test_thread_starts_with_a_lease_and_ends_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_keeper, "MOST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(lease_keeper, "IDLE_ROUNDS", 3)
    before = threading.active_count()
    keeper = LeaseKeeper(in_background=True)
    for _ in range(2):
        lease = Lease(0)
        keeper.hold(lease)
        assert lease.renewed.wait(10)
        keeper.drop(lease)
        ended = threading.Event()
        while threading.active_count() > before:
            assert not ended.wait(0.01)


def test_watch_begins_again_with_each_renewal() -> None:
    watch, of = LeaseWatch(), order()
    assert watch.seen_for(of, ("one", NOW), 10.0) == 0
    assert watch.seen_for(of, ("one", NOW), 13.0) == 3
    assert watch.seen_for((of, "R-1"), ("one", NOW), 13.0) == 0
    assert watch.seen_for(of, ("one", NOW + 1), 14.0) == 0
    assert watch.seen_for(of, ("one", NOW + 1), 15.0) == 1


def test_watch_remembers_a_bounded_number_of_orders() -> None:
    watch = LeaseWatch()
    for number in range(MOST_WATCHED + 10):
        watch.seen_for(order(f"A-{number}"), ("one", NOW), float(number))
    assert len(watch._seen) == MOST_WATCHED
