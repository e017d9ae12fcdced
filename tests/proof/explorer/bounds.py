"""The bounds of the searches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.proof.explorer.choices import Budget
from tests.proof.explorer.mutants import Mutant
from tests.proof.explorer.scenario import Scenario
from tests.proof.explorer.scenarios import SCENARIOS
from tests.proof.explorer.search import Count, Explorer, Finding

# The suite: every schedule of two workers with one fault; in the core also with one switch.
SUITE = Budget(faults=1, switches=0)
SUITE_CORE = Budget(faults=1, switches=1)
CORE = (
    "new order",
    "unknown, made, two amounts",
    "given out unrecorded, a late one beside it, key old",
    "given up, made late",
    "unknown, not made, key old",
)

# Much like others, and slow: the suite searches them without a fault, the long form with one.
LIGHT = (
    "two gateways: unknown, not made",
    "two gateways: canceled at PayPal",
    "two gateways: expired at PayPal",
)
NO_FAULT = Budget(faults=0, switches=1)

# The store has lost a capture, and PayPal may not answer when the order is canceled, or when its
# pending attempt is left: the question before that narrows it, and does not close it.
PROMISED_WITHOUT_FAULTS = (
    "two gateways: capture forgotten, and canceled",
    "two gateways: switch forgotten, and walked",
    "two gateways: switch forgotten, and canceled",
)

# The budget of the schedules drawn by seed.
EDGE = Budget(faults=4, switches=8)

# The other rules are broken without a paused owner, and found sooner if none pauses.
LEASE_RULES = (5, 6, 9)

# Scenarios small enough for a complete search: with one gateway, and with two.
_SMALL = tuple(number for number, each in enumerate(SCENARIOS) if not each.crowd)
PLAIN = tuple(number for number in _SMALL if SCENARIOS[number].two is None)
PLAIN_OF_TWO = tuple(number for number in _SMALL if SCENARIOS[number].two)


def suite_budget(scenario: Scenario) -> Budget:
    """Return the suite's budget in this scenario."""
    if scenario.name in LIGHT or scenario.name in PROMISED_WITHOUT_FAULTS:
        return NO_FAULT
    return SUITE_CORE if scenario.name in CORE else SUITE


def within_promise(scenario: Scenario, budget: Budget) -> Budget:
    """Return the part of a budget for which the rules promise something in this scenario."""
    return replace(budget, faults=0) if scenario.name in PROMISED_WITHOUT_FAULTS else budget


def budgets_within() -> Iterator[Budget]:
    """Yield growing budgets, each a few times as large as the last."""
    for faults, switches in ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (3, 1), (3, 2)):
        yield Budget(faults, switches)


def all_of(number: int, budget: Budget, seconds: float) -> Count:
    """Search every schedule of two workers in this scenario, until the time is up."""
    until, scenario = time.monotonic() + seconds, SCENARIOS[number]
    budget = within_promise(scenario, budget)
    return Explorer(scenario).all(budget, until=until, most_findings=3)


def some_of(number: int, seconds: float) -> Count:
    """Search schedules of three workers by seed, for `seconds`."""
    seeds = itertools.count(number * 10**9 + 10**6)
    until = time.monotonic() + seconds
    scenario = SCENARIOS[number]
    budget = within_promise(scenario, EDGE)
    return Explorer(scenario).some(budget, seeds, until=until, workers=3)


@dataclass(frozen=True, slots=True)
class Found:
    """The budget that caught a mutant, and the finding."""

    budget: Budget
    finding: Finding


def caught(mutant: Mutant, until: float) -> Found | None:
    """Return the first schedule that exposes the mutant, or None at `until`."""
    for budget in (Budget(0, 1), *budgets_within()):
        for scenario in SCENARIOS:
            if time.monotonic() > until:
                return None
            if mutant.scenarios and scenario.name not in mutant.scenarios:
                continue
            with mutant.patched():
                # A store that forgets needs no event: it did so before the scenario begins.
                pauses = mutant.rule in LEASE_RULES
                explorer = Explorer(scenario, mutant.store_of, forgets=False, pauses=pauses)
                count = explorer.all(budget, until=until)
            if count.findings:
                return Found(budget, count.findings[0])
    return None
