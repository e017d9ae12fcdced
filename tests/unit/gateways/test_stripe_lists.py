"""A look-up in an account with very many PaymentIntents misses none, at any cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.errors import GatewayFailed
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy
from payment_service.gateways.stripe.gateway import StripeGateway
from payment_service.gateways.stripe.lists import PAGES_IN_TURN, SLICES, Stretch, cut
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
    """An account with a thousand PaymentIntents, spread evenly over SECONDS."""

    def __init__(self) -> None:
        self.now = NOW
        # The search does not know any of them yet, so every find comes from the list.
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


def test_find_misses_none_among_a_thousand(crowd: Crowd) -> None:
    before = crowd.lists
    assert crowd.find() == crowd.ours
    # Each slice needs at most one page more than a sequential read.
    assert OTHERS / 100 < crowd.lists - before <= OTHERS / 100 + SLICES + 1


@pytest.mark.parametrize("skip", [0, PAGES_IN_TURN, PAGES_IN_TURN + 3])
def test_unanswered_page_does_not_prove_absence(crowd: Crowd, skip: int) -> None:
    crowd.sandbox.faults.order(FaultOrder("error_503", LIST, skip=skip, count=None))
    with pytest.raises(GatewayFailed):
        crowd.find()


def test_slices_are_read_in_parallel(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_look_up_without_a_free_slot_reads_in_sequence(crowd: Crowd) -> None:
    pages = crowd.gateway._pages
    while pages._sliced.acquire(blocking=False):
        pass
    try:
        before = crowd.lists
        assert crowd.find() == crowd.ours
        assert crowd.lists - before == 1 + (OTHERS + len(crowd.ours)) // 100
    finally:
        pages._sliced = threading.BoundedSemaphore(2)


def test_exiting_process_reads_in_sequence(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    assert crowd.find() == crowd.ours


def test_failed_slice_hides_nothing_when_no_thread_can_start(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(_: object, run: Callable[..., object], *slice_: object) -> None:
        crowd.sandbox.faults.order(FaultOrder("error_503", LIST, count=None))
        with suppress(GatewayFailed):
            run(*slice_)
        crowd.sandbox.faults.clear()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    assert crowd.find() == crowd.ours


@given(st.integers(0, 2**31), st.integers(0, 5000), st.integers(1, 10))
def test_stretch_is_cut_without_gaps_or_overlaps(first: int, seconds: int, most: int) -> None:
    pieces = cut(Stretch(first, first + seconds), most)
    assert len(pieces) == min(most, seconds + 1)
    assert (pieces[0].first, pieces[-1].last) == (first, first + seconds)
    assert all(a.last is not None and a.last + 1 == b.first for a, b in pairwise(pieces))
    assert all(each.last is not None and each.last >= each.first for each in pieces)
