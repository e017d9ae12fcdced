"""A circuit opens after repeated silence, lets probes through, and closes on any answer."""

from __future__ import annotations

import pytest

from payment_service.payments.circuits import (
    FAILURES,
    PROBE_EVERY_SECONDS,
    WITHIN_SECONDS,
    Circuits,
)


class Bench:
    def __init__(self) -> None:
        self.now = 1000.0
        self.changes: list[tuple[str, str]] = []
        self.circuits = Circuits(lambda: self.now, lambda *change: self.changes.append(change))

    def fail(self, count: int, apart: float = 0.0) -> None:
        for _ in range(count):
            self.circuits.note("stripe", failed=True)
            self.now += apart

    def lets_through(self) -> bool:
        return self.circuits.lets_through("stripe")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_circuit_is_closed_at_first(bench: Bench) -> None:
    assert bench.lets_through()
    assert not bench.circuits.is_open("stripe")


def test_one_failure_fewer_opens_nothing(bench: Bench) -> None:
    bench.fail(FAILURES - 1)
    assert bench.lets_through()


def test_repeated_failures_open_the_circuit(bench: Bench) -> None:
    bench.fail(FAILURES)
    assert bench.circuits.is_open("stripe")
    assert not bench.lets_through()
    assert bench.changes == [("stripe", "circuit_opened")]


def test_answer_between_failures_begins_the_count_again(bench: Bench) -> None:
    bench.fail(FAILURES - 1)
    bench.circuits.note("stripe", failed=False)
    bench.fail(FAILURES - 1)
    assert bench.lets_through()


def test_slow_failures_open_nothing(bench: Bench) -> None:
    bench.fail(3 * FAILURES, apart=WITHIN_SECONDS / (FAILURES - 1) + 0.1)
    assert bench.lets_through()


def test_failures_within_the_window_open_the_circuit(bench: Bench) -> None:
    bench.fail(FAILURES, apart=WITHIN_SECONDS / (FAILURES - 1))
    assert bench.circuits.is_open("stripe")


def test_open_circuit_lets_one_probe_a_second_through(bench: Bench) -> None:
    bench.fail(FAILURES)
    bench.now += PROBE_EVERY_SECONDS
    assert [bench.lets_through() for _ in range(3)] == [True, False, False]
    bench.now += PROBE_EVERY_SECONDS
    assert bench.lets_through()


def test_looking_at_the_circuit_uses_no_probe(bench: Bench) -> None:
    bench.fail(FAILURES)
    bench.now += PROBE_EVERY_SECONDS
    assert bench.circuits.is_open("stripe")
    assert bench.lets_through()


def test_failed_probe_keeps_the_circuit_open(bench: Bench) -> None:
    bench.fail(FAILURES)
    bench.now += 100
    bench.fail(1)
    assert bench.circuits.is_open("stripe")


def test_first_answer_closes_the_circuit(bench: Bench) -> None:
    bench.fail(FAILURES)
    bench.circuits.note("stripe", failed=False)
    assert bench.lets_through()
    assert [change for _, change in bench.changes] == ["circuit_opened", "circuit_closed"]


def test_gateways_have_circuits_of_their_own(bench: Bench) -> None:
    bench.fail(FAILURES)
    assert bench.circuits.lets_through("paypal")
