"""A look-up in an account that makes very many PaymentIntents misses none, whatever it costs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.errors import StripeFailed
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.lists import PAGES_IN_TURN, SLICES, Stretch, cut
from payment_service.gateways.stripe.retry import RetryPolicy
from payment_service.key_store.contract import Order
from sandbox.core import Sandbox
from sandbox.faults import FaultOrder, Match
from sandbox.moment import Rules
from tests.support.sandbox_in_process import INTENTS
from tests.support.sandbox_transport import SandboxTransport

NOW = 1_800_000_000.0
HEADERS = {"authorization": "Bearer sk_test_shop"}
ORDER = Order(livemode=False, client_id=None, order_id="A-1")
OTHERS, SECONDS = 1000, 50
LIST = Match(method="GET", path=f"{INTENTS}$")


class Crowd:
    """An account with a thousand PaymentIntents, evenly over so many seconds."""

    def __init__(self) -> None:
        self.now = NOW
        # The search knows none of them yet: what is found is found in the list.
        rules = Rules(search_lag_seconds=2 * SECONDS)
        self.sandbox = Sandbox(lambda: self.now, seed=1, rules=rules)
        self.ours: set[str] = set()
        for number in range(OTHERS):
            self.now = NOW + SECONDS * number / OTHERS
            self.make(f"B-{number}")
            if number % 150 == 0:
                self.ours.add(self.make("A-1"))
        self.gateway = StripeGateway(
            "sk_test_shop",
            SandboxTransport(self.sandbox),
            policy=RetryPolicy(sleep=lambda _: None),
            clock=lambda: self.now,
        )

    def make(self, order_id: str) -> str:
        body = f"amount=1099&currency=usd&metadata[order_id]={order_id}".encode()
        made = self.sandbox.handle("POST", INTENTS, HEADERS, body)
        return str(made.json()["id"])

    def find(self) -> set[str]:
        return {each.id for each in self.gateway.find(ORDER, NOW, Deadline.after(60))}

    @property
    def lists(self) -> int:
        return self.sandbox.log.shown_counts().get(f"GET {INTENTS} 200", 0)


@pytest.fixture(scope="module")
def whole() -> Crowd:
    return Crowd()


@pytest.fixture
def crowd(whole: Crowd) -> Iterator[Crowd]:
    yield whole
    whole.sandbox.faults.clear()


def test_what_lies_anywhere_among_very_many_is_found(crowd: Crowd) -> None:
    before = crowd.lists
    assert crowd.find() == crowd.ours
    # Each slice has a page more than it would have in turn, at most.
    assert OTHERS / 100 < crowd.lists - before <= OTHERS / 100 + SLICES + 1


@pytest.mark.parametrize("skip", [0, PAGES_IN_TURN, PAGES_IN_TURN + 3])
def test_a_page_that_is_not_answered_is_no_proof_of_absence(crowd: Crowd, skip: int) -> None:
    crowd.sandbox.faults.order(FaultOrder("error_503", LIST, skip=skip, count=None))
    with pytest.raises(StripeFailed):
        crowd.find()


def test_slices_are_read_at_the_same_time(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    met = threading.Barrier(SLICES)
    read, taken = crowd.gateway._pages._ask, threading.local()

    def ask(*call: object) -> object:
        if threading.current_thread().name.startswith("pages") and not hasattr(taken, "first"):
            taken.first = True
            met.wait(20)
        return read(*call)  # type: ignore[arg-type]

    monkeypatch.setattr(crowd.gateway._pages, "_ask", ask)
    assert crowd.find() == crowd.ours
    assert not met.broken


def test_who_comes_while_others_read_in_slices_reads_in_turn(crowd: Crowd) -> None:
    pages = crowd.gateway._pages
    while pages._sliced.acquire(blocking=False):
        pass
    try:
        before = crowd.lists
        assert crowd.find() == crowd.ours
        assert crowd.lists - before == 1 + (OTHERS + len(crowd.ours)) // 100
    finally:
        pages._sliced = threading.BoundedSemaphore(2)


def test_a_process_that_ends_reads_in_turn(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    assert crowd.find() == crowd.ours


def test_a_slice_that_fails_where_no_other_could_begin_hides_nothing(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(_: object, run: Callable[..., object], *slice_: object) -> None:
        crowd.sandbox.faults.order(FaultOrder("error_503", LIST, count=None))
        with suppress(StripeFailed):
            run(*slice_)
        crowd.sandbox.faults.clear()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    assert crowd.find() == crowd.ours


@given(st.integers(0, 2**31), st.integers(0, 5000), st.integers(1, 10))
def test_a_stretch_is_cut_without_a_gap_and_without_a_lap(
    first: int, seconds: int, most: int
) -> None:
    pieces = cut(Stretch(first, first + seconds), most)
    assert len(pieces) == min(most, seconds + 1)
    assert (pieces[0].first, pieces[-1].last) == (first, first + seconds)
    assert all(a.last is not None and a.last + 1 == b.first for a, b in pairwise(pieces))
    assert all(each.last is not None and each.last >= each.first for each in pieces)
