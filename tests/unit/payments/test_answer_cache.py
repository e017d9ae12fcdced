"""The cache holds young answers, is bounded, and drops those of a changed order."""

from __future__ import annotations

import pytest

from payment_service.key_store.contract import Order
from payment_service.payments.creation import answer_cache
from payment_service.payments.creation.answer_cache import AnswerCache

ORDER = Order(livemode=False, client_id=None, order_id="A-1")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_young_answer_is_served_from_the_cache(clock: Clock) -> None:
    cache: AnswerCache[str] = AnswerCache(2.0, clock)
    cache.put(ORDER, "print", "answer", asked_at=100.0)
    clock.now = 101.9
    assert cache.get(ORDER, "print") == "answer"
    clock.now = 102.0
    assert cache.get(ORDER, "print") is None


def test_age_counts_from_the_request_to_stripe(clock: Clock) -> None:
    cache: AnswerCache[str] = AnswerCache(2.0, clock)
    clock.now = 103.0
    cache.put(ORDER, "print", "answer", asked_at=100.0)
    assert cache.get(ORDER, "print") is None


def test_other_parameters_miss_the_cache(clock: Clock) -> None:
    cache: AnswerCache[str] = AnswerCache(2.0, clock)
    cache.put(ORDER, "print", "answer", asked_at=100.0)
    assert cache.get(ORDER, "other") is None


def test_change_drops_cached_and_pending_answers(clock: Clock) -> None:
    cache: AnswerCache[str] = AnswerCache(2.0, clock)
    cache.put(ORDER, "print", "answer", asked_at=100.0)
    clock.now = 100.5
    cache.forget(ORDER)
    assert cache.get(ORDER, "print") is None
    cache.put(ORDER, "print", "asked before the change", asked_at=100.4)
    assert cache.get(ORDER, "print") is None
    cache.put(ORDER, "print", "asked after it", asked_at=100.6)
    assert cache.get(ORDER, "print") == "asked after it"


def test_zero_seconds_disable_the_cache(clock: Clock) -> None:
    cache: AnswerCache[str] = AnswerCache(0.0, clock)
    cache.put(ORDER, "print", "answer", asked_at=100.0)
    assert cache.get(ORDER, "print") is None


def test_oldest_answers_are_evicted_first(clock: Clock) -> None:
    cache: AnswerCache[str] = AnswerCache(2.0, clock)
    orders = [Order(False, None, str(n)) for n in range(answer_cache.MAX_ANSWERS + 1)]
    for order in orders:
        cache.put(order, "print", "answer", asked_at=100.0)
    assert cache.get(orders[0], "print") is None
    assert cache.get(orders[1], "print") == "answer"


def test_marks_of_changed_orders_are_bounded_like_answers(clock: Clock) -> None:
    """Most marks belong to orders that another process answered."""
    cache: AnswerCache[str] = AnswerCache(2.0, clock)
    for number in range(answer_cache.MAX_ANSWERS + 5):
        cache.forget(Order(False, None, str(number)))
    assert len(cache._kept) == answer_cache.MAX_ANSWERS
