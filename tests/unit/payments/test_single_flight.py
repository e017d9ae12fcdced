"""The same order twice at the same moment in one process: one goes, the others share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from payment_service.payments.creation.single_flight import SingleFlight, WaitedTooLongError


class Leader:
    """A call that lasts until it is let go."""

    def __init__(self, outcome: str | Exception = "answer") -> None:
        self.started, self.go = threading.Event(), threading.Event()
        self.calls, self._outcome = 0, outcome

    def __call__(self) -> str:
        self.calls += 1
        self.started.set()
        assert self.go.wait(10)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class Key:
    """The order, as a follower asks for it: tells when it is being looked up."""

    def __init__(self, asked: Callable[[], None] = lambda: None) -> None:
        self._asked = asked

    def __hash__(self) -> int:
        # Within the lock: whatever it starts cannot land before the follower has joined.
        self._asked()
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key)


def never() -> str:
    raise AssertionError("a follower leads")


def test_nobody_joins_a_flight_that_began_before_a_change() -> None:
    flight, before, after = SingleFlight[tuple[str, int], str](), Leader("before"), Leader("after")
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(flight.run, ("A-1", 1), before, 10)
        assert before.started.wait(10)
        flight.part(lambda key: key[0] == "B-1")
        flight.part(lambda key: key[0] == "A-1")
        second = pool.submit(flight.run, ("A-1", 1), after, 10)
        assert after.started.wait(10)
        before.go.set()
        assert first.result(10) == ("before", False)
        # The first has landed, and the second is still there to be joined.
        assert list(flight._flights) == [("A-1", 1)]
        after.go.set()
        assert second.result(10) == ("after", False)
    assert not flight._flights


def test_fifty_at_the_same_moment_cost_one_call() -> None:
    flight, leader, joined = SingleFlight[Any, str](), Leader(), threading.Semaphore(0)
    with ThreadPoolExecutor(50) as pool:
        first = pool.submit(flight.run, Key(), leader, 10)
        assert leader.started.wait(10)
        others = [pool.submit(flight.run, Key(joined.release), never, 10) for _ in range(49)]
        assert all(joined.acquire(timeout=10) for _ in others)
        leader.go.set()
        assert first.result(10) == ("answer", False)
        assert {each.result(10) for each in others} == {("answer", True)}
    assert leader.calls == 1


@pytest.mark.parametrize("outcome", [ValueError("no"), TimeoutError("of the leader")])
def test_a_follower_shares_the_leaders_failure(outcome: Exception) -> None:
    flight, leader = SingleFlight[Any, str](), Leader(outcome)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flight.run, Key(), leader, 10)
        assert leader.started.wait(10)
        with pytest.raises(type(outcome), match=str(outcome)):
            flight.run(Key(leader.go.set), never, 10)
        with pytest.raises(type(outcome), match=str(outcome)):
            first.result(10)


def test_a_follower_waits_no_longer_than_it_says() -> None:
    flight, leader = SingleFlight[Any, str](), Leader()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flight.run, "A-1", leader, 10)
        assert leader.started.wait(10)
        with pytest.raises(WaitedTooLongError):
            flight.run("A-1", never, 0.0)
        leader.go.set()
        assert first.result(10) == ("answer", False)


def test_other_orders_do_not_wait() -> None:
    flight, leader = SingleFlight[Any, str](), Leader()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(flight.run, "A-1", leader, 10)
        assert leader.started.wait(10)
        assert flight.run("A-2", lambda: "other", 0.0) == ("other", False)
        leader.go.set()


def test_whoever_comes_after_the_landing_leads_again() -> None:
    flight: SingleFlight[Any, int] = SingleFlight()
    assert [flight.run("A-1", lambda n=n: n, 1)[0] for n in range(3)] == [0, 1, 2]  # type: ignore[misc]
