"""Simultaneous requests for one order in one process: one leads, the others share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from payment_service.payments.creation.single_flight import SingleFlight, WaitedTooLongError


class Leader:
    """A call that blocks until `go` is set."""

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
    """The key of a follower's request; signals when it is being looked up."""

    def __init__(self, asked: Callable[[], None] = lambda: None) -> None:
        self._asked = asked

    def __hash__(self) -> int:
        # Runs with the lock held: nothing that it starts can land before the follower has joined.
        self._asked()
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key)


def never() -> str:
    raise AssertionError("a follower leads")


def test_change_prevents_joining_an_earlier_flight() -> None:
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
        # The first flight has landed, and requests can still join the second.
        assert list(flight._flights) == [("A-1", 1)]
        after.go.set()
        assert second.result(10) == ("after", False)
    assert not flight._flights


def test_fifty_simultaneous_requests_make_one_call() -> None:
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
def test_follower_shares_the_leaders_failure(outcome: Exception) -> None:
    flight, leader = SingleFlight[Any, str](), Leader(outcome)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(flight.run, Key(), leader, 10)
        assert leader.started.wait(10)
        with pytest.raises(type(outcome), match=str(outcome)):
            flight.run(Key(leader.go.set), never, 10)
        with pytest.raises(type(outcome), match=str(outcome)):
            first.result(10)


def test_follower_waits_no_longer_than_its_timeout() -> None:
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


def test_request_after_the_flight_leads_a_new_one() -> None:
    flight: SingleFlight[Any, int] = SingleFlight()
    assert [flight.run("A-1", lambda n=n: n, 1)[0] for n in range(3)] == [0, 1, 2]  # type: ignore[misc]
