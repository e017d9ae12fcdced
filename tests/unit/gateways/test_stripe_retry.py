"""The verdict table and the one retry loop."""

from __future__ import annotations

import pytest

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.retry import RetryPolicy, SendFailed
from payment_service.gateways.send_report import Meaning, RetryDetails, Verdict
from payment_service.gateways.stripe.verdicts import judge


@pytest.mark.parametrize(
    ("status", "kind", "meaning", "again"),
    [
        (None, None, Meaning.NO_ANSWER, True),
        (200, None, Meaning.UNREADABLE, True),
        (302, None, Meaning.UNREADABLE, False),
        (400, "idempotency_error", Meaning.MISUSED, False),
        (400, "invalid_request_error", Meaning.NO, False),
        (400, None, Meaning.UNREADABLE, False),
        (402, "card_error", Meaning.NO, False),
        (404, "invalid_request_error", Meaning.NO, False),
        (401, "invalid_request_error", Meaning.CONFIG, False),
        (403, "invalid_request_error", Meaning.CONFIG, False),
        (405, None, Meaning.UNREADABLE, False),
        (408, None, Meaning.UNREADABLE, True),
        (408, "api_error", Meaning.UNREADABLE, True),
        (409, "invalid_request_error", Meaning.BUSY, True),
        (409, None, Meaning.BUSY, True),
        (413, None, Meaning.UNREADABLE, False),
        (421, None, Meaning.UNREADABLE, True),
        (424, "invalid_request_error", Meaning.UNREADABLE, False),
        (425, None, Meaning.UNREADABLE, True),
        (429, "invalid_request_error", Meaning.LIMITED, True),
        (429, None, Meaning.LIMITED, True),
        (500, "api_error", Meaning.FAILED, True),
        (503, None, Meaning.FAILED, True),
    ],
)
def test_each_answer_gets_the_verdict_of_its_row(
    status: int | None, kind: str | None, meaning: Meaning, again: bool
) -> None:
    verdict = judge(status, {}, kind)
    assert (verdict.meaning, verdict.again) == (meaning, again)


def test_replayed_5xx_is_final_for_its_key() -> None:
    headers = {"idempotent-replayed": "true", "stripe-should-retry": "true"}
    verdict = judge(500, headers, "api_error")
    assert (verdict.again, verdict.saved_5xx) == (False, True)


@pytest.mark.parametrize("status", [408, 421, 425])
def test_saved_4xx_of_the_edge_is_not_resent(status: int) -> None:
    verdict = judge(status, {"idempotent-replayed": "true"}, None)
    assert (verdict.again, verdict.saved_5xx) == (False, False)


@pytest.mark.parametrize(("asked", "again"), [("true", True), ("false", False)])
@pytest.mark.parametrize("status", [400, 408, 409, 421, 425, 429, 500, 503])
def test_should_retry_header_overrides_the_status(status: int, asked: str, again: bool) -> None:
    assert judge(status, {"stripe-should-retry": asked}, "api_error").again is again


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("1e300", 86_400.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("soon", None),
        ("", None),
        ("inf", None),
        ("Thu, 1 Jan 2026 00:00:00 +99999999999999999999", None),
        ("1 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_parsed(text: str, seconds: float | None) -> None:
    assert judge(429, {"retry-after": text}, None).retry_after_seconds == seconds


def test_retry_after_may_be_a_date_in_the_distant_past() -> None:
    verdict = judge(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None)
    assert verdict.retry_after_seconds == 0.0


def test_retry_after_that_is_a_date_counts_from_the_answers_own_date() -> None:
    headers = {
        "retry-after": "Wed, 21 Oct 2015 07:28:07 GMT",
        "date": "Wed, 21 Oct 2015 07:28:00 GMT",
    }
    assert judge(429, headers, None).retry_after_seconds == 7.0


class Timeline:
    """A series of failing sends, and the waits between them."""

    def __init__(self, *verdicts: Verdict, budget: float = 25.0) -> None:
        self.now, self.sends, self.waits = 0.0, 0, list[float]()
        self.told = list[RetryDetails]()
        self._verdicts = list(verdicts)
        self.deadline = Deadline(budget, lambda: self.now)
        self.policy = RetryPolicy(sleep=self._sleep, uniform=lambda low, high: (low + high) / 2)

    def run(self) -> str:
        return self.policy.run(self._send, self.deadline, self.told.append)

    def _send(self) -> str:
        self.sends += 1
        if self._verdicts:
            raise SendFailed(self._verdicts.pop(0))
        return "sent"

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)


LOST = judge(None, {}, None)


def test_waits_are_one_second_and_then_two() -> None:
    time = Timeline(LOST, LOST)
    assert time.run() == "sent"
    assert time.waits == [1.0, 2.0]
    assert [told.send for told in time.told] == [1, 2]


def test_at_most_three_sends() -> None:
    time = Timeline(LOST, LOST, LOST)
    with pytest.raises(SendFailed):
        time.run()
    assert time.sends == 3


def test_request_with_a_final_answer_is_not_resent() -> None:
    time = Timeline(judge(402, {}, "card_error"))
    with pytest.raises(SendFailed):
        time.run()
    assert time.sends == 1


def test_retry_loop_waits_for_retry_after() -> None:
    time = Timeline(judge(429, {"retry-after": "7"}, None))
    time.run()
    assert time.waits == [7.0]


def test_wait_beyond_the_budget_is_not_started() -> None:
    time = Timeline(judge(429, {"retry-after": "30"}, None))
    with pytest.raises(SendFailed):
        time.run()
    assert (time.sends, time.waits) == (1, [])


def test_jitter_spreads_the_waits() -> None:
    policy = RetryPolicy()
    waits = {_first_wait(policy) for _ in range(20)}
    assert len(waits) > 1
    assert all(0.75 <= wait <= 1.25 for wait in waits)


def _first_wait(policy: RetryPolicy) -> float:
    time = Timeline(LOST)
    time.policy = RetryPolicy(sleep=time._sleep, uniform=policy.uniform)
    time.run()
    return time.waits[0]
