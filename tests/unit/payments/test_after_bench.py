"""A case whose step is never reached fails, so no case passes by doing nothing."""

from __future__ import annotations

import pytest

from tests.support.after_bench import AfterBench

STEPS = AfterBench.steps_of(AfterBench.ask)


@pytest.fixture
def bench() -> AfterBench:
    return AfterBench()


def test_other_work_runs_once_at_the_last_step(bench: AfterBench) -> None:
    calls: list[int] = []
    with bench.meanwhile(len(STEPS) - 1, lambda: calls.append(bench.steps)):
        bench.ask()
    assert calls == [len(STEPS)]


def test_other_work_that_never_runs_is_an_error(bench: AfterBench) -> None:
    with pytest.raises(AssertionError, match="no step"), bench.meanwhile(len(STEPS), bench.cancel):
        bench.ask()


def test_other_work_that_never_runs_is_an_error_although_the_block_fails(bench: AfterBench) -> None:
    with pytest.raises(AssertionError, match="no step"), bench.meanwhile(9, bench.ask):
        bench.cancel()


def test_optional_work_that_never_ran_does_not_run_later(bench: AfterBench) -> None:
    with bench.meanwhile(len(STEPS), bench.cancel, required=False):
        bench.ask()
    bench.ask()
    assert len(bench.payable()) == 1


def test_crash_happens_at_the_last_step(bench: AfterBench) -> None:
    bench.crash(len(STEPS) - 1, bench.ask)
    assert bench.names == STEPS


def test_crash_that_never_happens_is_an_error(bench: AfterBench) -> None:
    with pytest.raises(AssertionError, match="no step"):
        bench.crash(len(STEPS), bench.ask)
