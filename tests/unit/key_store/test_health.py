"""The log of a store's state: each cause once, and the recovery."""

from __future__ import annotations

import pytest

from payment_service.key_store.health import Health
from payment_service.outage import QUIET_SECONDS


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health("Store", clock)


def test_each_cause_is_logged_once(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        raised = health.failed("timeout", TimeoutError("too\nslow"))
        health.failed("read_only", "a replica")
    assert (str(raised), raised.cause) == ("Store: TimeoutError: too slow", "timeout")
    assert caplog.messages == [
        "the key store failed: Store: TimeoutError: too slow",
        "the key store failed: Store: a replica",
    ]


def test_secrets_are_not_logged(health: Health, caplog: pytest.LogCaptureFixture) -> None:
    raised = health.failed("failed", "postgresql://me:hunter2@host/db does not answer")
    assert "hunter2" not in f"{raised} {caplog.text}"


def test_recovery_is_logged_once_and_the_cause_again(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    health.answered()
    health.failed("timeout", "slow")
    clock.now += QUIET_SECONDS
    health.answered()
    health.answered()
    health.failed("timeout", "slow")
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "the key store failed",
        "the key store answers again",
        "the key store failed",
    ]


def test_store_that_fails_for_some_orders_does_not_fill_the_log(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        health.failed("unreachable", "a node is down")
        health.answered()
        clock.now += QUIET_SECONDS / 2
    assert len(caplog.messages) == 1
