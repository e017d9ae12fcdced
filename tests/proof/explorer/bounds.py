"""How far the searches go."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.proof.explorer.choices import Budget
from tests.proof.explorer.mutants import Mutant
from tests.proof.explorer.scenarios import SCENARIOS, Scenario
from tests.proof.explorer.search import Count, Explorer, Finding

# In the suite: every schedule of two workers with one fault, in the core also with one switch.
SUITE = Budget(faults=1, switches=0)
SUITE_CORE = Budget(faults=1, switches=1)
CORE = (
    "new order",
    "unknown, made, two amounts",
    "given out unrecorded, a late one beside it, key old",
    "given up, made late",
)

# What is drawn by seed beyond that.
EDGE = Budget(faults=4, switches=8)


# Those whose schedules can be gone through.
PLAIN = tuple(number for number, each in enumerate(SCENARIOS) if not each.crowd)


def suite_budget(scenario: Scenario) -> Budget:
    """How far the suite goes in this scenario."""
    return SUITE_CORE if scenario.name in CORE else SUITE


def budgets_within() -> Iterator[Budget]:
    """Ever larger, each only some times as large as the one before."""
    for faults, switches in ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (3, 1), (3, 2)):
        yield Budget(faults, switches)


def all_of(number: int, budget: Budget, seconds: float) -> Count:
    """Every schedule of two workers in the scenario of this number, as far as the time goes."""
    until = time.monotonic() + seconds
    return Explorer(SCENARIOS[number]).all(budget, until=until, most_findings=3)


def some_of(number: int, seconds: float) -> Count:
    """Schedules of three workers, by seed, for so long."""
    seeds = itertools.count(number * 10**9 + 10**6)
    until = time.monotonic() + seconds
    return Explorer(SCENARIOS[number]).some(EDGE, seeds, until=until, workers=3)


@dataclass(frozen=True, slots=True)
class Found:
    """The budget within which a mutant was caught, and how."""

    budget: Budget
    finding: Finding


def caught(mutant: Mutant, until: float) -> Found | None:
    """The first schedule that shows what the mutant breaks; None by `until`."""
    for budget in (Budget(0, 1), *budgets_within()):
        for scenario in SCENARIOS:
            if time.monotonic() > until:
                return None
            if mutant.scenarios and scenario.name not in mutant.scenarios:
                continue
            with mutant.patched():
                # A store that forgets needs no event: it did so before the scenario begins.
                explorer = Explorer(scenario, mutant.store_of, forgets=False)
                count = explorer.all(budget, until=until)
            if count.findings:
                return Found(budget, count.findings[0])
    return None
