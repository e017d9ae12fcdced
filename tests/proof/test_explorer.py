"""Every schedule within bounds keeps the promise, and the search sees each rule that is broken.

The long form is `python -m tests.proof.explorer --minutes N`.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.proof.explorer.bounds import (
    EDGE,
    PLAIN,
    PLAIN_OF_TWO,
    caught,
    suite_budget,
    within_promise,
)
from tests.proof.explorer.judge import A_BUG
from tests.proof.explorer.mutants import MUTANTS, Mutant
from tests.proof.explorer.scenarios import SCENARIOS
from tests.proof.explorer.search import Count, Explorer

# Schedules of three workers, drawn by seed, in each scenario, and in those with a crowd.
DRAWN, DRAWN_OF_A_CROWD = 8, 100

FOREVER = float("inf")

# For one mutant. The slowest takes 100 s of CPU time, and much longer on a busy machine.
MOST_SECONDS = 840

pytestmark = pytest.mark.timeout(MOST_SECONDS + 60)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as found:
        yield found


def all_of(number: int) -> Count:
    scenario = SCENARIOS[number]
    return Explorer(scenario).all(suite_budget(scenario))


def some_of(number: int) -> Count:
    scenario = SCENARIOS[number]
    many = DRAWN_OF_A_CROWD if scenario.crowd else DRAWN
    seeds, budget = itertools.count(number * 1000), within_promise(scenario, EDGE)
    drawn = itertools.islice(seeds, many)
    return Explorer(scenario).some(budget, drawn, until=FOREVER, workers=3)


def findings_of(counts: list[Count], what: str) -> str:
    schedules, merged = sum(c.schedules for c in counts), sum(c.merged for c in counts)
    print(f"\n{what}: {schedules} schedules explored, {merged} more ended in a state seen before")
    return "\n".join(str(finding) for count in counts for finding in count.findings)


def test_every_schedule_of_two_workers_within_the_suites_bounds_keeps_the_promise(
    pool: ProcessPoolExecutor,
) -> None:
    counts = list(pool.map(all_of, PLAIN))
    assert all(count.complete for count in counts)
    assert findings_of(counts, "two workers") == ""


def test_every_schedule_with_two_gateways_within_the_suites_bounds_keeps_the_promise(
    pool: ProcessPoolExecutor,
) -> None:
    counts = list(pool.map(all_of, PLAIN_OF_TWO))
    assert all(count.complete for count in counts)
    assert findings_of(counts, "two workers, two gateways") == ""


def test_schedules_of_three_workers_with_many_faults_keep_the_promise(
    pool: ProcessPoolExecutor,
) -> None:
    counts = list(pool.map(some_of, range(len(SCENARIOS))))
    assert findings_of(counts, f"three workers, {EDGE}, by seed") == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"rule {mutant.rule}: {mutant.what}")
def test_a_broken_rule_is_caught(mutant: Mutant) -> None:
    found = caught(mutant, time.monotonic() + MOST_SECONDS)
    assert found is not None
    # A patch that no longer fits the code fails in its own way, which proves nothing.
    assert not found.finding.what.startswith(A_BUG)
